// Command s3server is a small S3 service over one directory, on loopback: for tests, examples and
// a single machine without an object store. It is versitygw (Apache-2.0) with its POSIX backend,
// in a module of its own so that its many dependencies stay out of Banyan's.
//
//	go build -o bin/s3server .                            (in this folder)
//	AWS_ACCESS_KEY_ID=.. AWS_SECRET_ACCESS_KEY=.. s3server -listen 127.0.0.1:9000 -dir ./s3
//
// It prints one line, "listening http://127.0.0.1:9000", when it takes connections, and nothing
// else. It ends on SIGTERM, SIGINT, and with -die-with-parent when its standard input ends (give
// it a pipe: it then cannot outlive a parent that was killed).
//
// Known limits: one instance a process (the library has package globals). The backend never calls
// fsync: what it acknowledged may be lost when the machine loses power, unlike store/file. The
// directory must be on a file system with user extended attributes.
package main
