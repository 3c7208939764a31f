/* host.h: the plugin host process: loads one shared object, speaks frames with the engine (3 = the channel, 4 = its last words, 5 = its output), runs
 * the plugin on one event loop. Nothing of the engine's memory, secrets or descriptors is here; the engine replaces the process when it ends. */
#ifndef BW_HOST_HOST_H
#define BW_HOST_HOST_H
int bw_host_main(void); /* the whole process; returns the exit status */
#endif
