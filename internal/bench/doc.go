// Command bench is Banyan's side of `make bench-peers`: it trains a model on synthetic tokens,
// times matrix products, encodes texts and reads corpora, one request a line on standard input, one
// answer a line on standard output. `make peers` asks it for the texts of files.
//
// It owns nothing of the engine; it drives worker/model, worker/optim and worker/kernel/cpu the way
// worker/train does on one rank, dataset/tokenize record by record, as a reader does, and dataset's
// streams. It computes only between a request and its answer, so that whoever drives it
// (scripts/bench_peers.py, scripts/bench_encode.py, scripts/bench_reader.py) can let it and a peer
// take turns on the same cores. Times are of the clock on the wall; cpu_seconds is the processor
// time of the same span, all threads.
//
//	{"do":"open","threads":2}                        -> {"isa":"avx2"}
//	{"do":"model","hidden":288,...,"batch":8}        -> {"parameters":...}
//	{"do":"step","repeat":1}                         -> {"seconds":...,"loss":...}
//	{"do":"profile","repeat":3}                      -> {"ops":[...]}  time by op and shape
//	{"do":"matmul","m":8,"n":8,"k":8,"layout":"nt","dtype":"fp32"} -> {"seconds":...}
//	{"do":"probe"}                                   -> {"gflops":...,"gbs":...}  the ceilings
//	{"do":"memory"}                                  -> {"peak_bytes":...,"resident_bytes":...}
//	{"do":"corpus","tokenizer":"DIR","files":["x.jsonl"]} -> {"texts":...,"bytes":...}
//	{"do":"encode","repeat":1}                       -> {"seconds":...,"tokens":...}  one thread
//	{"do":"reader","tokenizer":"DIR","endpoint":"http://127.0.0.1:9000","sources":["s3://b/x.jsonl"],
//	 "seq_len":2048,"batch":32}                      -> {"blocks":[...]}
//	{"do":"read","repeat":10}                        -> {"seconds":...,"tokens":...}  so many steps
//	{"do":"texts","sources":["x.parquet"],"text_field":"text"} -> {"texts":[...]}
//
// As one of several processes it is a rank: every rank is told the same, and the time that counts
// is that of the slowest.
//
//	{"do":"listen"}                                  -> {"address":...,"bare":...}
//	{"do":"join","rank":0,"peers":[...],"bare":[...]} -> {"world":...}
//	{"do":"all_gather","bytes":1048576,"repeat":9}   -> {"seconds":...}  likewise reduce_scatter,
//	                                                    and bare: the same bytes by plain sockets
//
// A request that cannot be served is answered by {"error":...} and changes nothing.
package main
