// BANYAN_AMX says whether this build has class amx: Linux on x86-64, and an assembler of tiles.

#ifndef BANYAN_AMX_BUILD_H
#define BANYAN_AMX_BUILD_H

#if !defined(__x86_64__) || !defined(__linux__)
#define BANYAN_AMX 0
#elif defined(__clang__)
#define BANYAN_AMX (__clang_major__ >= 12)
#else
#define BANYAN_AMX (__GNUC__ >= 11)
#endif

#endif
