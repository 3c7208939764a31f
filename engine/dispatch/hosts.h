/* hosts.h: plugins and their processes, between hosts.c, host_process.c, host_calls.c and host_end.c. Main thread only.
 *
 * A plugin has one process that takes its calls. While that one is replaced there are others: the next one, which is not ready yet, and those that
 * finish what they have begun. A process that has ended is there until everything that it had sent was read. */
#ifndef BW_DISPATCH_HOSTS_H
#define BW_DISPATCH_HOSTS_H
#include "dispatch/host_ways.h"
#include "dispatch/internal.h"
#include "plugin/file.h"
#include "plugin/settings.h"

/* What processes of a plugin are made of. It is not known all at once: the manifest is what the first process says, and what the plugin is told
 * follows from that. Whoever has one holds a reference. */
struct bw_plugin_build {
    unsigned references;
    struct bw_plugin_file file;
    json_t *manifest; /* NULL: not known yet */
    json_t *needs;    /* as its manifest says; NULL: not known yet */
    unsigned needs_told;
    struct bw_settings settings; /* config NULL: not known yet */
};
/* file: what it was made of so far, taken over. NULL without memory. */
struct bw_plugin_build *bw_plugin_build_new(struct bw_plugin_file *file_take);
struct bw_plugin_build *bw_plugin_build_ref(struct bw_plugin_build *build);
void bw_plugin_build_unref(struct bw_plugin_build *build);

/* Between a run worker and a process: calls and results without the engine in between (host_lines.c). There is one of each worker that has called it.
 */
struct bw_plugin_line {
    TAILQ_ENTRY(bw_plugin_line) link;
    int64_t number;
    struct bw_plugin_process *process;
    struct bw_run_worker *worker; /* NULL: it has ended */
    bool is_left;                 /* no call follows on it */
    bool is_over;                 /* the process has seen its end, and told which calls of it are not over */
    int64_t lost_us;              /* when the worker found it closed; 0: it did not */
    bool is_asked;                /* its worker is to say what calls it has there */
};

/* A plugin call on its way: worker → host → worker. */
struct bw_plugin_call {
    TAILQ_ENTRY(bw_plugin_call) link;
    int64_t id;                   /* between engine and host */
    struct bw_run_worker *worker; /* NULL: nobody waits for the result any more */
    int64_t worker_call;
    struct bw_plugin_line *line; /* that it was made on, where its number is worker_call; NULL: it went through the engine */
    bool is_open;                /* the line is over, and its process has told that it has this call */
    char *about;                 /* of BW_MSG_CALL */
    bool is_health;              /* of no step: the engine asks how it is */
    int64_t kill_at_us;          /* it is not wanted any more: its host is ended then. 0 = it is wanted */
};

struct bw_plugin_process {
    TAILQ_ENTRY(bw_plugin_process) link;
    struct bw_plugin_host *host;
    struct bw_plugin_build *build;
    json_t *needs;              /* what it was started with; NULL: nothing */
    bool is_loaded;             /* it has said what it is */
    bool is_told;               /* BW_MSG_HOST_INIT is on its way: calls may follow */
    bool is_ready;              /* it has answered that */
    bool has_health;            /* it can say how it is */
    struct bw_process *process; /* NULL: it has ended */
    struct bw_channel *channel; /* NULL: all that it had sent was read */
    struct bw_plugin_output *output;
    int report; /* what it writes here when it crashes is read after its end */
    TAILQ_HEAD(, bw_plugin_call) calls;
    TAILQ_HEAD(, bw_plugin_line) lines;
    bool is_message_held, has_asked;   /* a message waits until those who call it have been asked; it has, and is the next one */
    int lines_socket;                  /* by which it is given its ends of them; -1: by none */
    uint64_t served;                   /* calls that it was given */
    int64_t resolver;                  /* as it was when it started */
    size_t loaded_bytes;               /* its resident memory when it was ready */
    bool is_leaving;                   /* it gets no more calls, and ends when it has none */
    bool has_left;                     /* it was told to end */
    bool is_unwanted;                  /* of a reload that was not taken over: nothing is said about its end */
    int64_t silent_at_us, ended_at_us; /* 0: not yet */
    char why[120];                     /* the engine has ended it, and this is why; "": it has not */
    struct bw_host_end end;            /* when it has ended */
};

/* What a reload would make of a plugin (host_candidate.c). It takes no call before that is taken over. */
struct bw_plugin_candidate {
    struct bw_plugin_build *build;     /* NULL: there would be none any more */
    struct bw_plugin_process *process; /* NULL: it has ended, or there is none */
    const json_t *configure;           /* the reload's */
    json_t *errors;                    /* the reload's: why it cannot be used is added there */
    bool is_ready, has_failed;
    bool is_off;     /* bellwire.yaml does not let it be */
    const char *why; /* for the log, when it is taken over */
    int64_t started_us;
};

/* What a plugin says of itself (host_health.c). */
struct bw_plugin_health {
    enum { BW_HEALTH_UNKNOWN, BW_HEALTH_WELL, BW_HEALTH_ILL } state;
    char code[48], message[512]; /* ILL: why */
    int64_t since_ms;            /* since when, by the wall clock; 0: UNKNOWN */
    int64_t call;                /* the question that is open; 0: none is */
    int64_t asked_us, next_us;   /* last, and when it is asked again at the latest */
};

enum bw_host_state { BW_HOST_LOADING, BW_HOST_READY, BW_HOST_REFUSED, BW_HOST_RESTING };
struct bw_plugin_host {
    TAILQ_ENTRY(bw_plugin_host) link;
    struct bw_dispatch *dispatch;
    char *path;
    bool is_bundled;          /* a part of Bellwire */
    bool wants_configuration; /* and of no use to an instance that does not configure it, which does not have it then */
    enum bw_host_state state;
    bool was_ready; /* its manifest is part of the catalogue */
    struct bw_plugin_build *build;
    struct bw_plugin_process *current; /* takes the calls; NULL: none does */
    struct bw_plugin_process *next;    /* is to follow it, and not ready; NULL: none is */
    struct bw_plugin_candidate *candidate;
    TAILQ_HEAD(, bw_plugin_process) processes;
    struct bw_plugin_health health;
    int64_t renewed_us, looked_us;
    int64_t again_us;      /* REFUSED, and was ready once: it is tried again then; 0: it is not */
    bool is_doubted;       /* LOADING: that is such a trial */
    bool is_misconfigured; /* REFUSED: because of what bellwire.yaml says of it */
    int64_t started_us, rest_until_us;
    int64_t crashes_us[5]; /* the last ones, oldest first */
    unsigned rests;
};
const char *bw_host_name(const struct bw_plugin_host *host); /* the file's */
bool bw_host_is_wanted(const struct bw_plugin_host *host, const json_t *configure);

/* host_process.c. One of its messages ends up in bw_host_ready() or bw_host_process_refused(), its end in bw_host_process_lost(), all of hosts.c. */
struct bw_plugin_process *bw_host_process_start(struct bw_plugin_host *host, struct bw_plugin_build *build, struct bw_error *err);
void bw_host_process_init(struct bw_plugin_process *process); /* its build is complete; nothing if it was done before */
void bw_host_process_kill(struct bw_plugin_process *process, const char *why);
void bw_host_process_leave(struct bw_plugin_process *process);                 /* it has no calls and will get none */
void bw_host_process_watch(struct bw_plugin_process *process, int64_t now_us); /* may be gone afterwards */
bool bw_host_process_settled(struct bw_plugin_process *process);               /* nobody calls it any more; true: it had ended, and is gone */
void bw_host_process_free(struct bw_plugin_process *process);
/* hosts.c */
void bw_host_say_late(struct bw_error *err);                                                         /* it did not load in time … */
void bw_host_say_crashed(const struct bw_plugin_process *process, struct bw_error *err);             /* … or its process ended meanwhile */
struct bw_plugin_host *bw_host_add(struct bw_dispatch *dispatch, const char *path, bool is_bundled); /* NULL without memory */
void bw_host_start(struct bw_plugin_host *host);
void bw_host_loaded(struct bw_plugin_process *process, json_t *manifest);
void bw_host_ready(struct bw_plugin_process *process);
void bw_host_process_refused(struct bw_plugin_process *process, const struct bw_error *err);
void bw_host_process_lost(struct bw_plugin_process *process); /* its calls were answered; it is freed afterwards */
/* host_renew.c */
bool bw_host_renew_ready(struct bw_plugin_process *process);  /* true: it was the next one, and takes the calls now */
bool bw_host_renew_failed(struct bw_plugin_process *process); /* true: it was the next one, or leaving: nobody misses it */
void bw_host_renew_called(struct bw_plugin_process *process); /* it was given one more call */
void bw_host_renew_done(struct bw_plugin_process *process);   /* and has one less */
int64_t bw_host_resolver_version(void);
void bw_host_renew_watch(struct bw_plugin_host *host, int64_t now_us);
/* host_health.c */
void bw_host_health_watch(struct bw_plugin_host *host, int64_t now_us);
void bw_host_health_begin(struct bw_plugin_host *host); /* another process takes its calls */
void bw_host_health_answered(struct bw_plugin_host *host, const struct bw_plugin_call *call, const json_t *head); /* BW_MSG_HOST_RESULT */
void bw_host_health_over(struct bw_plugin_host *host, const struct bw_plugin_call *call); /* the question is gone, answered or not */
void bw_host_health_doubt(struct bw_plugin_host *host);                                   /* a call has failed: it is asked soon */
/* host_candidate.c. What is false of a process is that it is one. */
bool bw_host_candidate_ready(struct bw_plugin_process *process);
bool bw_host_candidate_failed(struct bw_plugin_process *process, const struct bw_error *errs, size_t count);
bool bw_host_candidate_off(struct bw_plugin_process *process); /* bellwire.yaml does not let it be */
bool bw_host_candidate_lost(struct bw_plugin_process *process);
void bw_host_candidate_watch(struct bw_plugin_host *host);
const json_t *bw_host_manifest(const struct bw_plugin_host *host); /* what a catalogue that is read now holds of it; NULL: nothing */
void bw_host_candidate_free(struct bw_plugin_host *host);
/* host_calls.c */
/* One more call that it has, which is still to be sent; NULL without memory. What it has printed is of those before it. */
struct bw_plugin_call *bw_host_call_new(struct bw_plugin_process *process, struct bw_slice about);
struct bw_plugin_call *bw_host_call_add(struct bw_plugin_process *process, struct bw_slice about); /* the same, and that may be of this one */
void bw_host_call_forget(struct bw_plugin_process *process, struct bw_plugin_call *call);          /* it is over, and nothing is said of it */
void bw_host_call_answer_error(struct bw_plugin_call *call, const char *outcome, const struct bw_error *err, const char *class, bool is_doubtful);
bool bw_host_call_result(struct bw_plugin_process *process, const struct bw_message *message); /* false: it has no such call */
struct bw_plugin_call *bw_host_call_find(struct bw_plugin_process *process, int64_t id);       /* that went through the engine */
void bw_host_call_beat(struct bw_plugin_process *process, int64_t id);
void bw_host_calls_fail(struct bw_plugin_process *process);
void bw_host_calls_drop(struct bw_plugin_process *process);
json_t *bw_host_call_secrets(const struct bw_plugin_process *process, const json_t *names); /* of the call, and those that configure grants */
void bw_host_call_cancel(struct bw_plugin_process *process, struct bw_plugin_call *call, int64_t grace_ms);
/* host_lines.c */
void bw_host_line_give(struct bw_plugin_process *process, struct bw_run_worker *worker);       /* unless it has one, or cannot have any */
struct bw_plugin_call *bw_host_call_of(struct bw_plugin_process *process, const json_t *head); /* `call` of `line`, or of none; NULL: no such call */
void bw_host_lines_retire(struct bw_plugin_process *process);                                  /* its workers are to leave them, … */
bool bw_host_lines_left(const struct bw_plugin_process *process);                              /* … and have */
bool bw_host_lines_ended(const struct bw_plugin_process *process); /* nothing comes on them any more, and nothing is to be told of them */
bool bw_host_lines_are_lost(const struct bw_plugin_process *process, int64_t before_us); /* some were found closed before that */
void bw_host_lines_worker_lost(struct bw_run_worker *worker);
bool bw_host_line_is_deaf(struct bw_plugin_process *process, const json_t *head); /* `line`: its worker has gone */
void bw_host_line_over(struct bw_plugin_process *process, const json_t *head);    /* BW_MSG_HOST_LINE_OVER */
/* False: there is nobody to be asked, or nothing of which the engine does not know. Else no message of the process is delivered, and nothing of its
 * output read, until all of its workers have told. */
bool bw_host_lines_ask(struct bw_plugin_process *process);
void bw_host_lines_free(struct bw_plugin_process *process);
/* host_output.c. Takes fd, the end of the pipe that is its stdout and stderr; NULL without memory. */
struct bw_plugin_output *bw_host_output_new(struct bw_plugin_process *process, int fd);
void bw_host_output_flush(struct bw_plugin_output *output);    /* before its calls change: what it has printed is of those that are in progress */
void bw_host_output_go_on(struct bw_plugin_output *output);    /* the workers have told whose it is */
void bw_host_output_end_line(struct bw_plugin_output *output); /* the same where nothing is left to read of what they have printed */
void bw_host_output_watch(struct bw_plugin_output *output);
void bw_host_output_log(struct bw_plugin_output *output, const struct bw_plugin_call *call, const char *level, const char *text);
void bw_host_output_free(struct bw_plugin_output *output);
#endif
