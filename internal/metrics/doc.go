// Package metrics shows a cluster to Prometheus: `banyan metrics`. It is a user of the cluster like
// any other, so that one place to scrape goes on whoever leads.
//
// Each scrape asks the leader for runs and workers, and adds what the newest step record of each
// run says, which it follows by watching those that are not over. When nobody answers, banyan_up is
// 0 and the rest is missing: no old value is shown as if it were of now.
//
// Names and units are Prometheus's: seconds, nats, tokens; _total for what only grows.
package metrics
