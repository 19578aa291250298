// SPDX-License-Identifier: Apache-2.0
// Nothing of the kernel's own is there to be read (bpf_helpers.h).
#define BPF_CORE_READ(...) ((void *)0)
#define BPF_CORE_READ_INTO(...) 0
#define bpf_core_read(...) 0
