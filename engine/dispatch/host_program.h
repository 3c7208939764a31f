/* host_program.h: the program that plugin hosts are, which is a part of this binary (host/main.c) and linked with little. It is executed from memory:
 * one image, made at the first start of a host, sealed, and there as long as this process, so hosts are always of the engine's own version, whatever
 * lies on disk by now. Each start is an execve() with an address space and a stack guard of its own: a plugin knows nothing of the memory of others.
 *
 * Main thread. Where there is no such image (a program that is linked for a test), or the system does not let memory be executed (vm.memfd_noexec,
 * SELinux), this binary in its role `host` does the same, and each start costs milliseconds more. */
#ifndef BW_DISPATCH_HOST_PROGRAM_H
#define BW_DISPATCH_HOST_PROGRAM_H

int bw_host_program(void);                 /* a descriptor to execute, open as long as this process; -1: there is none */
void bw_host_program_refused(int failure); /* executing it gave that errno: if it would again, there is none from now on, which is logged */
#endif
