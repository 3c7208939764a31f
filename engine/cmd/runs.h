/* runs.h: what else `bellwire runs` can do. */
#ifndef BW_CMD_RUNS_H
#define BW_CMD_RUNS_H

int bw_runs_cancel(int argc, char **argv);  /* argv[0] is "cancel" */
int bw_runs_mocks(int argc, char **argv);   /* argv[0] is "mocks" */
int bw_runs_resolve(int argc, char **argv); /* argv[0] is "resolve" */
#endif
