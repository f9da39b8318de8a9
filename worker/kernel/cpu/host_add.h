// The ordered sum of partials in host memory, outside of any program and on the caller's thread.

#ifndef BANYAN_HOST_ADD_H
#define BANYAN_HOST_ADD_H

// banyan_host_add stores a[i] + b[i] in dst[i], which may be a[i] or b[i].
void banyan_host_add(float *dst, const float *a, const float *b, long n);

#endif
