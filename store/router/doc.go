// Package router opens URIs: it decides which backend serves which one.
//
//	s3://bucket/key         the store named "default" of the run's stores
//	file:///abs/path        the local file system, bucket "/", key "abs/path"
//	/abs/path, rel/path     the same; a relative path is below the working directory
//
// A file URI is taken literally after "file://": no percent decoding, so that '*' and '?' may
// stand in a source's last path element. The router makes clients on first use and never reads
// credentials before; it never moves bytes itself.
package router
