#include "job.h"
#include "dialogue.h"
#include "output.h"
#include "shared/guard.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LATE_GRACE_MS 400  /* of a call whose time is over: less than there is before another attempt */
#define ON_ITS_WAY_MS 3000 /* what a call may have taken until it was here, on a machine that has other things to do */
#define UP_MS 300          /* after the grace of one whose run is cancelled: the call is completed, whatever there still is of the program */
#define GOODBYE_MS 1000    /* between the end of its input and SIGTERM, for a program with which all is said */
#define GOODBYE_GRACE_MS 2000
#define LOG_LINES 500 /* of a call; the engine bounds all of them */
#define TAIL_BYTES 1200
#define CHUNK 65536

struct job {
    TAILQ_ENTRY(job) link;
    struct exec_jobs *jobs;
    struct bw_plugin_call *call; /* NULL: completed */
    struct exec_order order;
    struct guard guard;
    struct bw_plugin_watch *on_report, *on_out, *on_err, *on_in;
    struct bw_plugin_timer *giving_up;
    struct exec_output out, err;
    struct exec_lines lines;
    struct exec_dialogue dialogue; /* of exec/rpc: what is written and read */
    size_t written, told_lines;
    int64_t started_ms;
    bool is_ending, has_ended;
    int status, not_started; /* of wait(2); an errno */
    enum guard_stage stage;
};
TAILQ_HEAD(list, job);
struct exec_jobs {
    const struct bw_plugin_host *host;
    const struct exec_config *config;
    struct list waiting, running;
    size_t running_count;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* ---- the call's end ---- */

static void complete(struct job *job, const struct bw_plugin_result *result)
{
    if (job->call) job->jobs->host->complete(job->jobs->host, job->call, result);
    job->call = NULL;
}

static void fail(struct job *job, enum bw_plugin_outcome outcome, const char *code, const char *message, bool is_doubtful)
{
    complete(job, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result),
                                             .outcome = outcome,
                                             .code = code,
                                             .message = message,
                                             .retry_after_ms = -1,
                                             .is_doubtful = is_doubtful});
}

/* What the program has said of it comes after the colon. */
static void fail_as_ended(struct job *job, enum bw_plugin_outcome outcome, const char *code, const char *how, bool is_doubtful)
{
    char tail[TAIL_BYTES], message[TAIL_BYTES + 400];
    exec_output_tail(&job->err, tail, sizeof tail);
    snprintf(message, sizeof message, "%.100s %s%s%s", job->order.program->name, how, *tail ? ": " : "; it wrote nothing to stderr", tail);
    fail(job, outcome, code, message, is_doubtful);
}

static void fail_not_started(struct job *job)
{
    const struct exec_program *program = job->order.program;
    bool may_pass = job->not_started == EAGAIN || job->not_started == ENOMEM || job->not_started == ETXTBSY || job->not_started == EMFILE ||
                    job->not_started == ENFILE;
    static const char *const whats[] = {[GUARD_FORK] = "a process", [GUARD_GROUP] = "a process group"};
    const char *what = job->stage == GUARD_FOLDER ? program->folder : job->stage == GUARD_EXECUTE ? program->path : whats[job->stage];
    char message[700];
    snprintf(message, sizeof message, "%.100s was not started: %.400s: %s%s", program->name, what, strerror(job->not_started),
             job->not_started == EACCES ? "; what it may open is said by configure.exec.reads and .files" : "");
    fail(job, may_pass ? BW_PLUGIN_RETRY : BW_PLUGIN_FAIL, "exec.not_started", message, false);
}

static json_t *read_json(struct job *job)
{
    json_error_t error;
    char how[200];
    json_t *value = json_loadb(job->out.kept.bytes ? job->out.kept.bytes : "", job->out.kept.len, JSON_DECODE_ANY, &error);
    if (value) return value;
    snprintf(how, sizeof how, "succeeded, but its output is no JSON: %.100s at line %d, column %d", error.text, error.line, error.column);
    fail_as_ended(job, BW_PLUGIN_FAIL, "exec.output", how, false);
    return NULL;
}

static json_t *read_output(struct job *job)
{
    const struct text *kept = &job->out.kept;
    char how[100];
    if (job->order.as == EXEC_TEXT) return exec_text_value(kept->bytes, kept->len);
    if (!job->out.is_cut) return job->order.as == EXEC_JSON ? read_json(job) : exec_base64_value(kept->bytes, kept->len);
    snprintf(how, sizeof how, "succeeded, but its output has more than %zu bytes (configure.exec.output_bytes)", job->out.most);
    fail_as_ended(job, BW_PLUGIN_FAIL, "exec.output_too_large", how, false);
    return NULL;
}

static void succeed(struct job *job)
{
    json_t *value = read_output(job), *errors = exec_text_value(job->err.kept.bytes, job->err.kept.len), *output = NULL;
    if (!job->call) goto out;
    output = value && errors ? json_pack("{s:i,s:O,s:O,s:b}", "code", WEXITSTATUS(job->status), job->order.as == EXEC_JSON ? "json" : "stdout", value,
                                         "stderr", errors, "is_cut", job->out.is_cut || job->err.is_cut)
                             : NULL;
    char *text = output ? json_dumps(output, JSON_COMPACT) : NULL;
    if (text)
        complete(job, &(struct bw_plugin_result){
                          .size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK, .output = text, .output_len = strlen(text)});
    else
        fail(job, BW_PLUGIN_RETRY, "exec.memory", "out of memory, after the program had succeeded", true);
    free(text);
out:
    json_decref(output);
    json_decref(value);
    json_decref(errors);
}

/* That it is tried again only if the step says so is said by `retry` of the manifest. One with at_most_once is not, whatever it says: what has failed
 * may have done a part of it. */
static void judge(struct job *job)
{
    bool is_once = job->call->is_once;
    char how[160], code[32];
    const char *signal_name = WIFSIGNALED(job->status) ? sigabbrev_np(WTERMSIG(job->status)) : NULL;
    if (job->not_started) {
        fail_not_started(job);
    } else if (job->order.messages && !job->is_ending) {
        fail_as_ended(job, is_once ? BW_PLUGIN_FAIL : BW_PLUGIN_RETRY, "exec.no_answer", "has ended, and had not answered", true);
    } else if (!job->order.messages && job->has_ended && WIFEXITED(job->status) && exec_order_is_ok(&job->order, WEXITSTATUS(job->status))) {
        succeed(job);
    } else if (job->is_ending) {
        fail_as_ended(job, BW_PLUGIN_FAIL, BELLWIRE_PLUGIN_CANCELLED, "was ended, because the step is not wanted any more", true);
    } else if (!job->has_ended) {
        fail_as_ended(job, BW_PLUGIN_RETRY, "exec.lost", "was lost: somebody has ended the process that watches over it", true);
    } else if (WIFSIGNALED(job->status)) {
        snprintf(how, sizeof how, "was ended by the signal SIG%s", signal_name ? signal_name : "?");
        fail_as_ended(job, BW_PLUGIN_RETRY, "exec.signal", how, true);
    } else {
        snprintf(code, sizeof code, "exec.exit.%d", WEXITSTATUS(job->status));
        snprintf(how, sizeof how, "ended with exit status %d", WEXITSTATUS(job->status));
        fail_as_ended(job, is_once ? BW_PLUGIN_FAIL : BW_PLUGIN_RETRY, code, how, false);
    }
}

/* ---- its life ---- */

static void start_waiting(struct exec_jobs *jobs);

static void job_free(struct job *job)
{
    exec_order_free(&job->order);
    exec_dialogue_free(&job->dialogue);
    exec_output_free(&job->out);
    exec_output_free(&job->err);
    free(job);
}

static void unwatch(struct job *job, struct bw_plugin_watch **watch, int *fd)
{
    job->jobs->host->unwatch(job->jobs->host, *watch);
    *watch = NULL;
    guard_close(fd);
}

static void tell_line(void *arg, const char *line)
{
    struct job *job = arg;
    const struct bw_plugin_host *host = job->jobs->host;
    if (!job->call || job->told_lines > LOG_LINES) return;
    host->log(host, job->call, BW_PLUGIN_INFO, job->told_lines++ < LOG_LINES ? line : "what else the program writes to stderr is not logged");
}

/* ---- a dialogue ---- */

static void speak(struct job *job);

static void on_writable_again(void *arg, int fd, int what)
{
    (void)fd, (void)what;
    speak(arg);
}

/* What of it the pipe takes now; the rest when there is room. */
static void speak(struct job *job)
{
    const struct bw_plugin_host *host = job->jobs->host;
    struct text *outbox = &job->dialogue.outbox;
    ssize_t put = 0;
    while (job->guard.in >= 0 && job->dialogue.written < outbox->len &&
           (put = write(job->guard.in, outbox->bytes + job->dialogue.written, outbox->len - job->dialogue.written)) > 0)
        job->dialogue.written += (size_t)put;
    bool is_done = job->dialogue.written == outbox->len, is_full = put < 0 && (errno == EAGAIN || errno == EINTR);
    if (is_done) outbox->len = job->dialogue.written = 0;
    if (!is_done && is_full && !job->on_in) job->on_in = host->watch_fd(host, job->guard.in, BW_PLUGIN_WRITE, on_writable_again, job);
    if (is_done || !is_full) { /* a program that reads no more is one that answers no more: its end says so */
        host->unwatch(host, job->on_in);
        job->on_in = NULL;
    }
}

static void say_goodbye(void *arg)
{
    struct job *job = arg;
    job->giving_up = NULL;
    guard_end(&job->guard, GOODBYE_GRACE_MS);
}

/* All is said: the call need not wait for the end of the program, which is that of its input. */
static void conclude(struct job *job)
{
    const struct bw_plugin_host *host = job->jobs->host;
    json_t *output = json_pack("{s:O}", "answers", job->dialogue.answers);
    char *text = output ? json_dumps(output, JSON_COMPACT) : NULL, how[100];
    if (job->dialogue.is_too_large) {
        snprintf(how, sizeof how, "has answered with more than %zu bytes (configure.exec.output_bytes)", job->out.most);
        fail_as_ended(job, BW_PLUGIN_FAIL, "exec.output_too_large", how, true);
    } else if (text) {
        complete(job, &(struct bw_plugin_result){
                          .size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK, .output = text, .output_len = strlen(text)});
    } else {
        fail(job, BW_PLUGIN_RETRY, "exec.memory", "out of memory, after the program had answered", true);
    }
    free(text);
    json_decref(output);
    unwatch(job, &job->on_in, &job->guard.in);
    if (!job->giving_up && !(job->giving_up = host->timer(host, GOODBYE_MS, say_goodbye, job))) guard_end(&job->guard, GOODBYE_GRACE_MS);
}

static void hear(struct job *job, const char *bytes, size_t len)
{
    if (job->dialogue.is_over) return;
    exec_dialogue_read(&job->dialogue, bytes, len);
    speak(job);
    if (job->dialogue.is_over) conclude(job);
}

/* ---- what it writes and reads ---- */

/* False: there is no more, or with EAGAIN no more now. */
static bool read_some(struct job *job, int fd, struct exec_output *output)
{
    static char bytes[CHUNK];
    errno = 0; /* of an earlier one it would say that there may be more */
    ssize_t got = read(fd, bytes, sizeof bytes);
    if (got <= 0) return got < 0 && errno == EINTR;
    if (output == &job->out && job->order.messages)
        hear(job, bytes, (size_t)got);
    else
        exec_output_add(output, bytes, (size_t)got);
    if (output == &job->err) exec_lines_add(&job->lines, bytes, (size_t)got, tell_line, job);
    if (job->call) job->jobs->host->heartbeat(job->jobs->host, job->call);
    return true;
}

static void on_output(void *arg, int fd, int what)
{
    struct job *job = arg;
    bool is_err = fd == job->guard.err;
    (void)what;
    if (read_some(job, fd, is_err ? &job->err : &job->out) || errno == EAGAIN) return;
    unwatch(job, is_err ? &job->on_err : &job->on_out, is_err ? &job->guard.err : &job->guard.out);
}

static void on_writable(void *arg, int fd, int what)
{
    struct job *job = arg;
    (void)what;
    ssize_t put = write(fd, job->order.input + job->written, job->order.input_len - job->written);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (put > 0) job->written += (size_t)put;
    if (put < 0 || job->written == job->order.input_len) unwatch(job, &job->on_in, &job->guard.in); /* it need not read all of it */
}

/* Nothing of the program is there any more. */
static void finish(struct job *job)
{
    struct exec_jobs *jobs = job->jobs;
    while (job->guard.out >= 0 && read_some(job, job->guard.out, &job->out)) {
    }
    while (job->guard.err >= 0 && read_some(job, job->guard.err, &job->err)) {
    }
    exec_lines_finish(&job->lines, tell_line, job);
    exec_output_finish(&job->out);
    exec_output_finish(&job->err);
    if (job->call) judge(job);
    unwatch(job, &job->on_report, &job->guard.report);
    unwatch(job, &job->on_out, &job->guard.out);
    unwatch(job, &job->on_err, &job->guard.err);
    unwatch(job, &job->on_in, &job->guard.in);
    jobs->host->cancel_timer(jobs->host, job->giving_up);
    guard_free(&job->guard);
    TAILQ_REMOVE(&jobs->running, job, link);
    jobs->running_count--;
    job_free(job);
    start_waiting(jobs);
}

static void on_report(void *arg, int fd, int what)
{
    struct job *job = arg;
    struct guard_news news;
    (void)fd, (void)what;
    while ((news = guard_read(&job->guard)).event != GUARD_NOTHING) {
        if (news.event == GUARD_NOT_STARTED) {
            job->not_started = news.value;
            job->stage = news.stage;
        } else if (news.event == GUARD_ENDED) {
            job->status = news.value;
            job->has_ended = true;
        } else if (news.event == GUARD_GONE) {
            finish(job);
            return;
        }
    }
}

static void watch(struct job *job)
{
    const struct bw_plugin_host *host = job->jobs->host;
    job->on_report = host->watch_fd(host, job->guard.report, BW_PLUGIN_READ, on_report, job);
    job->on_out = host->watch_fd(host, job->guard.out, BW_PLUGIN_READ, on_output, job);
    job->on_err = host->watch_fd(host, job->guard.err, BW_PLUGIN_READ, on_output, job);
    if (job->guard.in >= 0)
        job->on_in = host->watch_fd(host, job->guard.in, BW_PLUGIN_WRITE, job->order.messages ? on_writable_again : on_writable, job);
}

static void start(struct job *job)
{
    const struct exec_program *program = job->order.program;
    struct guard_program run = {.path = program->path,
                                .argv = job->order.argv,
                                .environment = job->order.environment,
                                .folder = program->folder,
                                .has_input = job->order.input || job->order.messages};
    job->stage = GUARD_FORK;
    if ((job->not_started = guard_start(&run, &job->guard))) {
        fail_not_started(job);
        job_free(job);
        return;
    }
    TAILQ_INSERT_TAIL(&job->jobs->running, job, link);
    job->jobs->running_count++;
    watch(job);
    if (job->on_report && job->on_out && job->on_err && (job->on_in || job->guard.in < 0)) return;
    guard_free(&job->guard); /* without memory nobody would hear of it */
    finish(job);
}

static void start_waiting(struct exec_jobs *jobs)
{
    struct job *job;
    while (jobs->running_count < jobs->config->at_once && (job = TAILQ_FIRST(&jobs->waiting))) {
        TAILQ_REMOVE(&jobs->waiting, job, link);
        start(job);
    }
}

void exec_jobs_submit_take(struct exec_jobs *jobs, struct bw_plugin_call *call, struct exec_order *order)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job) {
        jobs->host->complete(
            jobs->host, call,
            &(struct bw_plugin_result){
                .size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_RETRY, .code = "exec.memory", .message = "out of memory"});
        exec_order_free(order);
        return;
    }
    job->jobs = jobs;
    job->call = call;
    job->order = *order;
    *order = (struct exec_order){0};
    job->started_ms = now_ms();
    job->out = (struct exec_output){.most = jobs->config->output_bytes};
    job->err = (struct exec_output){.most = jobs->config->output_bytes, .is_of_end = true};
    if (job->order.messages && !exec_dialogue_begin(&job->dialogue, job->order.messages, jobs->config->output_bytes)) {
        fail(job, BW_PLUGIN_RETRY, "exec.memory", "out of memory", false);
        job_free(job);
        return;
    }
    if (job->dialogue.is_over) {
        fail(job, BW_PLUGIN_FAIL, "exec.input", "messages hold no request (`method` and `id`): nothing could be waited for", false);
        job_free(job);
        return;
    }
    TAILQ_INSERT_TAIL(&jobs->waiting, job, link);
    start_waiting(jobs);
}

/* ---- an end before the end ---- */

static void give_up(void *arg)
{
    struct job *job = arg;
    job->giving_up = NULL; /* it is gone when this is called */
    if (job->call) fail_as_ended(job, BW_PLUGIN_FAIL, BELLWIRE_PLUGIN_CANCELLED, "is being ended, because the step is not wanted any more", true);
}

void exec_jobs_cancel(struct exec_jobs *jobs, const struct bw_plugin_call *call)
{
    struct job *job;
    TAILQ_FOREACH(job, &jobs->waiting, link)
    {
        if (job->call != call) continue;
        TAILQ_REMOVE(&jobs->waiting, job, link);
        fail(job, BW_PLUGIN_FAIL, BELLWIRE_PLUGIN_CANCELLED, "the program was not started: the step is not wanted any more", false);
        job_free(job);
        return;
    }
    TAILQ_FOREACH(job, &jobs->running, link)
    {
        if (job->call != call) continue;
        /* Nobody says why. A call without a heartbeat that has time left can only be one whose run is cancelled. Its time began before it came here.
         */
        bool is_late = call->heartbeat_ms || now_ms() - job->started_ms + ON_ITS_WAY_MS >= call->timeout_ms;
        int grace_ms = is_late ? LATE_GRACE_MS : jobs->config->grace_ms;
        job->is_ending = true;
        guard_end(&job->guard, grace_ms);
        if (is_late || !(job->giving_up = jobs->host->timer(jobs->host, grace_ms + UP_MS, give_up, job))) give_up(job);
        return;
    }
}

struct exec_jobs *exec_jobs_new(const struct bw_plugin_host *host, const struct exec_config *config)
{
    struct exec_jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs) return NULL;
    jobs->host = host;
    jobs->config = config;
    TAILQ_INIT(&jobs->waiting);
    TAILQ_INIT(&jobs->running);
    return jobs;
}

void exec_jobs_free(struct exec_jobs *jobs)
{
    struct job *job;
    if (!jobs) return;
    TAILQ_FOREACH(job, &jobs->running, link) guard_close(&job->guard.leash);
    /* The jobs themselves are of this process, which ends now: guards and programs do not need it. */
}
