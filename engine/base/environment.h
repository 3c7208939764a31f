/* environment.h: what processes that this one starts may know of its environment. Any thread that knows that nobody changes it meanwhile. */
#ifndef BW_BASE_ENVIRONMENT_H
#define BW_BASE_ENVIRONMENT_H

char **bw_child_environment(void); /* for execve(); free() it, its texts are this process's own. NULL: no memory */
#endif
