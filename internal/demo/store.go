package demo

import "context"

// The S3 server lives as long as the demo, on loopback; its keys are no secret.
const (
	accessKey = "demo"
	secretKey = "demo-secret"
)

// startStore starts the S3 server and fills its buckets (part 1).
func (d *demo) startStore(ctx context.Context) error {
	d.env = environment("AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey)
	_, endpoint, err := d.start(ctx, "s3server", "listening ", d.cfg.S3Server,
		"-listen", "127.0.0.1:0", "-dir", d.path("s3"), "-die-with-parent")
	if err != nil {
		return err
	}
	d.endpoint = endpoint
	d.say("%s serves %s from %s", shown(d.cfg.S3Server), endpoint, d.path("s3"))
	d.env = append(d.env, "AWS_ENDPOINT_URL="+endpoint)
	for _, args := range [][]string{
		{"store", "make-bucket", "corpora"},
		{"store", "make-bucket", "models"},
		{"store", "make-bucket", "ckpt"},
		{"store", "copy", d.example("corpora"), "s3://corpora"},
		{"store", "copy", d.example("held-out"), "s3://corpora/held-out"},
		{"model", "init", "s3://models/seed", "--config", d.example("model", "config.json"),
			"--tokenizer", d.example("tokenizer")},
	} {
		if _, err := d.banyan(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}
