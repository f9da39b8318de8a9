// Package demo is what `make demo` runs: the whole mission on one machine, in six parts.
//
//	1  an S3 server, buckets, corpora, a seed model
//	2  three coordinators and three workers, each a process of its own
//	3  base-en grows a small English model; quickstart continues it on Chinese and English
//	4  in mid-run the leader is killed, then the worker of rank 0; nobody helps
//	5  the same YAML undisturbed on one worker: the same records, the same digest
//	6  the result as a Hugging Face folder
//
// It uses the command line as a user would and prints every command it runs. What it claims it has
// checked: that the leader changed and restarted no rank (I9), that the killed worker's rank died
// (I8), that generation 2 had two ranks and went on from a checkpoint, that every step was seen
// once and in order (I11), and that records and weights are the same bits (I3).
//
// It owns its folder (.demo) and the processes it starts, and nothing else. They end with it: on
// success, on failure, on Ctrl-C, and, because each holds a pipe whose other end is here, when it
// is killed. Ports are free ones, chosen by the processes. It kills no process by name: process
// ids come from the cluster's pids.json and logs, inside its folder.
package demo
