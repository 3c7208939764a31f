/* fault/do@1: a plugin that does what its input says, all of it bad. Built by test_plugin_faults.py. */
#include <bellwire_plugin.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct bw_plugin_host *host;

static void succeed(struct bw_plugin_call *call, const char *output, size_t len)
{
    host->complete(host, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_OK, .output = output, .output_len = len});
}

static void tell(struct bw_plugin_call *call, long number)
{
    char output[64];
    int len = snprintf(output, sizeof output, "{\"number\":%ld}", number);
    succeed(call, output, (size_t)len);
}

static void *wait_for_ever(void *arg)
{
    for (;;) pause();
    return arg;
}

/* ---- what ends the process ---- */

static void segv(struct bw_plugin_call *call)
{
    (void)call;
    raise(SIGSEGV);
}

static void use_bad_address(struct bw_plugin_call *call)
{
    (void)call;
    *(volatile int *)0x1234 = 1;
}

BELLWIRE_PLUGIN_EXPORT int recurse_for_ever(volatile int *depth)
{
    volatile char much[1024] = {0};
    if (++*depth < 0) return 0;
    return recurse_for_ever(depth) + much[*depth & 1023];
}

static void overflow_the_stack(struct bw_plugin_call *call)
{
    volatile int depth = 0;
    tell(call, recurse_for_ever(&depth));
}

static void do_abort(struct bw_plugin_call *call)
{
    (void)call;
    abort();
}

static void do_exit(struct bw_plugin_call *call)
{
    (void)call;
    exit(3);
}

static void kill_itself(struct bw_plugin_call *call)
{
    (void)call;
    raise(SIGKILL);
}

static void use_bad_instruction(struct bw_plugin_call *call)
{
    (void)call;
    __builtin_trap();
}

void __stack_chk_fail(void); /* what the compiler calls when a function finds its stack smashed */

static void smash_the_stack(struct bw_plugin_call *call)
{
    (void)call;
    __stack_chk_fail();
}

static void free_twice(struct bw_plugin_call *call)
{
    void *volatile memory = malloc(24), *volatile same = memory;
    free(memory);
    free(same);
    tell(call, 0);
}

static void exit_at_once(struct bw_plugin_call *call)
{
    (void)call;
    _exit(0);
}

static void exit_quickly(struct bw_plugin_call *call)
{
    (void)call;
    quick_exit(0);
}

static void sleep_for_ever(struct bw_plugin_call *call)
{
    (void)call;
    wait_for_ever(NULL);
}

static void lock_itself_out(struct bw_plugin_call *call)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    pthread_mutex_lock(&lock);
    tell(call, 0);
}

static void listen_to_nobody(struct bw_plugin_call *call)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    signal(SIGTERM, SIG_IGN);
    for (;;) wait_for_ever(call);
}

/* ---- what it answers ---- */

static void complete_twice(struct bw_plugin_call *call)
{
    tell(call, 1);
    tell(call, 2);
}

static void complete_late(void *arg)
{
    struct bw_plugin_call *call = arg;
    host->heartbeat(host, call);
    host->secret(host, call, "NAME");
    tell(call, 3);
    host->log(host, NULL, BW_PLUGIN_INFO, "it has said so again");
}

static void complete_again_later(struct bw_plugin_call *call)
{
    tell(call, 1);
    host->timer(host, 50, complete_late, call); /* the first answer is on its way by then, and the call is over */
}

static void answer_too_much(struct bw_plugin_call *call)
{
    size_t size = (size_t)20 << 20;
    char *output = malloc(size);
    memset(output, 'x', size);
    memcpy(output, "{\"text\":\"", 9);
    memcpy(output + size - 2, "\"}", 2);
    succeed(call, output, size);
    free(output);
}

static void answer_no_text(struct bw_plugin_call *call)
{
    succeed(call, "{\"text\":\"\xff\xc0\x80\"}", 15);
}

static void answer_deep(struct bw_plugin_call *call)
{
    char output[2100] = "{\"deep\":";
    for (int i = 0; i < 1000; i++) strcat(output, "[");
    for (int i = 0; i < 1000; i++) strcat(output, "]");
    strcat(output, "}");
    succeed(call, output, strlen(output));
}

static void answer_no_number(struct bw_plugin_call *call)
{
    succeed(call, "{\"number\":NaN}", 14);
}

static void fail_with_no_text(struct bw_plugin_call *call)
{
    host->complete(host, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_FAIL, .code = "fault.\xff", .message = "\xff\xc0"});
}

static void complete_as(struct bw_plugin_call *call, struct bw_plugin_result result)
{
    result.size = sizeof result;
    host->complete(host, call, &result);
}

static void answer_nothing(struct bw_plugin_call *call)
{
    succeed(call, "", 0);
}

static void answer_a_list(struct bw_plugin_call *call)
{
    succeed(call, "[1]", 3);
}

static void answer_two_objects(struct bw_plugin_call *call)
{
    succeed(call, "{} {}", 5);
}

static void answer_with_nul(struct bw_plugin_call *call)
{
    succeed(call, "{\"a\":1}\0", 8);
}

static void answer_the_same_key_twice(struct bw_plugin_call *call)
{
    succeed(call, "{\"a\":1,\"a\":2}", 13);
}

static void end_as_nothing_known(struct bw_plugin_call *call)
{
    complete_as(call, (struct bw_plugin_result){.outcome = (enum bw_plugin_outcome)-7, .code = "", .message = ""});
}

static void ask_for_another_try_never(struct bw_plugin_call *call)
{
    complete_as(call, (struct bw_plugin_result){.outcome = BW_PLUGIN_RETRY, .code = "x", .message = "y", .retry_after_ms = INT64_MAX});
}

static void fail_with_much_to_say(struct bw_plugin_call *call)
{
    size_t size = (size_t)20 << 20;
    char *text = malloc(size);
    memset(text, '\x1b', size);
    text[size - 1] = '\0';
    complete_as(call, (struct bw_plugin_result){.outcome = BW_PLUGIN_FAIL, .code = text, .message = text});
    free(text);
}

static void log_much(struct bw_plugin_call *call)
{
    size_t size = (size_t)4 << 20; /* six times as much in a frame, which may have 16 MiB */
    char *text = malloc(size);
    memset(text, '\x1b', size);
    text[size - 1] = '\0';
    host->log(host, call, (enum bw_plugin_level)99, text);
    free(text);
    tell(call, 0);
}

static void *log_without_end(void *arg)
{
    for (;;) host->log(host, NULL, BW_PLUGIN_INFO, "again");
    return arg;
}

static void log_for_ever(struct bw_plugin_call *call)
{
    pthread_t thread;
    pthread_create(&thread, NULL, log_without_end, NULL);
    tell(call, 0);
}

static void *complete_in_thread(void *call)
{
    tell(call, 7);
    return NULL;
}

static void complete_in_threads(struct bw_plugin_call *call)
{
    pthread_t threads[32];
    for (int i = 0; i < 32; i++) pthread_create(&threads[i], NULL, complete_in_thread, call);
    for (int i = 0; i < 32; i++) pthread_join(threads[i], NULL);
}

static void fire_again(void *arg)
{
    host->timer(host, 0, fire_again, arg);
}

static void fire_for_ever(struct bw_plugin_call *call)
{
    for (int i = 0; i < 1000; i++) host->timer(host, 0, fire_again, NULL);
    tell(call, 0);
}

/* ---- what belongs to the process as a whole ---- */

static void change_everything(struct bw_plugin_call *call)
{
    int failed = chdir("/") + setenv("PATH", "/nowhere", 1) + (setlocale(LC_ALL, "C.UTF-8") == NULL);
    umask(0777);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGSEGV, SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    dup2(open("/dev/null", O_RDWR), 1);
    errno = ERANGE;
    tell(call, failed);
}

static void endless(struct bw_plugin_call *call)
{
    (void)call;
    for (volatile int i = 0;; i++)
        ;
}

/* ---- what takes more than there is for it ---- */

static void take_memory(struct bw_plugin_call *call)
{
    size_t size = (size_t)3 << 29;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    tell(call, memory != MAP_FAILED);
}

static void take_addresses(struct bw_plugin_call *call)
{
    size_t size = (size_t)10 << 30;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    tell(call, memory != MAP_FAILED);
}

static void take_threads(struct bw_plugin_call *call)
{
    pthread_t thread;
    long count = 0;
    while (count < 10000 && !pthread_create(&thread, NULL, wait_for_ever, NULL)) count++;
    tell(call, count);
}

static void take_files(struct bw_plugin_call *call)
{
    long count = 0;
    while (count < 100000 && dup(1) >= 0) count++;
    tell(call, count);
}

static void write_much(struct bw_plugin_call *call)
{
    int fd = memfd_create("much", MFD_CLOEXEC);
    tell(call, ftruncate(fd, (off_t)2 << 30) == 0);
}

static void change_the_fpu(struct bw_plugin_call *call)
{
#ifdef __x86_64__
    __builtin_ia32_ldmxcsr(0x5f80 & ~0x1000u); /* it rounds up, and takes what is very small for zero */
#endif
    tell(call, 1);
}

static void leave_a_child(struct bw_plugin_call *call)
{
    pid_t child = fork();
    if (child == 0) wait_for_ever(NULL);
    tell(call, child);
}

/* ---- calls that wait until the test has made a file ---- */

struct waiting {
    struct bw_plugin_call *call;
    char path[512];
    bool has_to_crash, is_complete;
};

static void look(void *arg)
{
    struct waiting *waiting = arg;
    bool is_there = access(waiting->path, F_OK) == 0;
    if (waiting->is_complete) raise(SIGSEGV);
    if (is_there) tell(waiting->call, -(long)getpid());
    waiting->is_complete = is_there;
    if (!is_there || waiting->has_to_crash) host->timer(host, is_there ? 200 : 10, look, waiting);
}

static struct waiting *to_wait(struct bw_plugin_call *call)
{
    struct waiting *waiting = calloc(1, sizeof *waiting);
    const char *path = strstr(call->input, "\"path\":\"");
    waiting->call = call;
    sscanf(path ? path : "", "\"path\":\"%511[^\"]", waiting->path);
    return waiting;
}

static void wait_until(struct bw_plugin_call *call, bool has_to_crash)
{
    struct waiting *waiting = to_wait(call);
    waiting->has_to_crash = has_to_crash;
    host->log(host, call, BW_PLUGIN_INFO, "it waits");
    look(waiting);
}

/* It says so by a file, and by nothing that is the engine's. */
static void wait_in_silence(struct bw_plugin_call *call)
{
    struct waiting *waiting = to_wait(call);
    char path[sizeof waiting->path + 8];
    snprintf(path, sizeof path, "%s.waits", waiting->path);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    look(waiting);
}

static void wait_for_file(struct bw_plugin_call *call)
{
    wait_until(call, false);
}

static void complete_then_crash(struct bw_plugin_call *call)
{
    wait_until(call, true);
}

/* ---- what it says ---- */

static void print_line(struct bw_plugin_call *call)
{
    puts("a line");
    host->log(host, call, BW_PLUGIN_WARN, "an entry");
    tell(call, 0);
}

static void print_and_abort(struct bw_plugin_call *call)
{
    (void)call;
    fputs("why I give up", stderr);
    abort();
}

static void print_much(struct bw_plugin_call *call)
{
    for (int i = 0; i < 8192; i++) puts("123456789012345678901234567890123456789012345678901234567890123");
    tell(call, 0);
}

/* ---- descriptors ---- */

static void close_low(struct bw_plugin_call *call)
{
    for (int fd = 0; fd < 1024; fd++) close(fd);
    tell(call, 0);
}

static void close_all(struct bw_plugin_call *call)
{
    for (int fd = 0; fd < 65536; fd++) close(fd);
    tell(call, 0);
}

static void scribble(int from, int to)
{
    static const char garbage[] = "this is no frame, whatever is read into it";
    for (int fd = from; fd < to; fd++)
        if (write(fd, garbage, sizeof garbage) < 0) continue;
}

static void scribble_low(struct bw_plugin_call *call)
{
    scribble(0, 1024);
    tell(call, 0);
}

static void scribble_high(struct bw_plugin_call *call)
{
    scribble(1024, 65536);
    tell(call, 0);
}

static void half_a_frame(struct bw_plugin_call *call)
{
    struct sockaddr name;
    for (int fd = 1024; fd < 2048; fd++) {
        socklen_t size = sizeof name;
        if (!getsockname(fd, &name, &size) && write(fd, "\x40\0\0", 3) < 0) continue;
    }
    tell(call, 0);
}

static int engine_socket(void)
{
    struct sockaddr name;
    for (int fd = 1024; fd < 2048; fd++) {
        socklen_t size = sizeof name;
        if (!getsockname(fd, &name, &size)) return fd;
    }
    return -1;
}

/* What `path` says, in hexadecimal digits, as if its host had said it. */
static void write_hexadecimal(struct bw_plugin_call *call, int to)
{
    const char *at = strstr(call->input, "\"path\":\"");
    static unsigned char frame[32768];
    size_t len = 0;
    unsigned byte;
    for (at = at ? at + 8 : ""; len < sizeof frame && sscanf(at, "%2x", &byte) == 1; at += 2) frame[len++] = (unsigned char)byte;
    tell(call, write(to, frame, len) == (ssize_t)len);
}

static void forge(struct bw_plugin_call *call)
{
    write_hexadecimal(call, engine_socket());
}

/* That to the worker came last: the highest one. */
static int line_socket(void)
{
    int type, found = -1;
    for (int fd = 1024; fd < 2048; fd++) {
        socklen_t size = sizeof type;
        if (!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_STREAM) found = fd;
    }
    return found;
}

static void forge_on_line(struct bw_plugin_call *call)
{
    write_hexadecimal(call, line_socket());
}

static void close_line(struct bw_plugin_call *call)
{
    (void)call; /* for ever */
    shutdown(line_socket(), SHUT_RDWR);
}

static void leak(struct bw_plugin_call *call)
{
    size_t size = (size_t)200 << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) memset(memory, 1, size);
    tell(call, memory != MAP_FAILED);
}

static void say_pid(struct bw_plugin_call *call)
{
    tell(call, getpid());
}

/* ---- what it may not do ---- */

static const char *const files[] = {"/etc/passwd", "/root", "/proc/1/status", "/tmp", "/dev/tty", "/home"};

static long count_open(void)
{
    long count = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) count += open(files[i], O_RDONLY | O_NOCTTY) >= 0;
    return count;
}

static long count_sockets(void)
{
    int pair[2];
    return (socket(AF_INET, SOCK_STREAM, 0) >= 0) + (socket(AF_INET6, SOCK_DGRAM, 0) >= 0) + (socket(AF_UNIX, SOCK_STREAM, 0) >= 0) +
           (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
}

static long number_of_constructor;

__attribute__((constructor)) static void construct(void)
{
    number_of_constructor = count_open() + count_sockets();
}

static void construct_more(struct bw_plugin_call *call)
{
    tell(call, number_of_constructor);
}

static void open_files(struct bw_plugin_call *call)
{
    tell(call, count_open());
}

static void open_software(struct bw_plugin_call *call)
{
    tell(call, open("/usr/bin/env", O_RDONLY) >= 0);
}

static void open_sockets(struct bw_plugin_call *call)
{
    tell(call, count_sockets());
}

static void make_a_file(struct bw_plugin_call *call)
{
    char path[512] = "";
    const char *at = strstr(call->input, "\"path\":\"");
    sscanf(at ? at : "", "\"path\":\"%500[^\"]", path);
    tell(call, open(path, O_WRONLY | O_CREAT, 0600) >= 0);
}

static void read_a_file(struct bw_plugin_call *call)
{
    char path[512] = "";
    const char *at = strstr(call->input, "\"path\":\"");
    sscanf(at ? at : "", "\"path\":\"%500[^\"]", path);
    tell(call, open(path, O_RDONLY) >= 0);
}

static void bomb(struct bw_plugin_call *call)
{
    long count = 0;
    for (int i = 0; i < 1000; i++) {
        pid_t child = fork();
        if (child == 0) wait_for_ever(NULL);
        count += child > 0;
    }
    tell(call, count);
}

static void execute_a_program(struct bw_plugin_call *call)
{
    int status = -1;
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    if (child > 0) waitpid(child, &status, 0);
    tell(call, status == 0);
}

static void reach_others(struct bw_plugin_call *call)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    tell(call, (kill(getppid(), 0) == 0) + (kill(1, 0) == 0) + (setsid() >= 0) + (setrlimit(RLIMIT_DATA, &limit) == 0) +
                   (ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0));
}

/* Slower, on one processor only, or last of all at the disk. What is asked for is what there is: it harms nobody where it may be done. */
static void slow_others_down(struct bw_plugin_call *call)
{
    cpu_set_t processors;
    struct sched_param none = {0};
    pid_t engine = getppid();
    sched_getaffinity(0, sizeof processors, &processors);
    tell(call, (setpriority(PRIO_PROCESS, (id_t)engine, 0) == 0) + (sched_setaffinity(engine, sizeof processors, &processors) == 0) +
                   (sched_setscheduler(engine, SCHED_OTHER, &none) == 0) + (sched_setparam(engine, &none) == 0) +
                   (syscall(SYS_ioprio_set, 1, engine, 0) == 0) + (syscall(SYS_migrate_pages, engine, 0, NULL, NULL) == 0));
}

/* The kernel sends a signal to whoever owns a descriptor, whoever that is. */
static void signal_by_a_descriptor(struct bw_plugin_call *call)
{
    int ends[2];
    if (!pipe(ends) && !fcntl(ends[0], F_SETOWN, getppid()) && !fcntl(ends[0], F_SETSIG, SIGTERM) && !fcntl(ends[0], F_SETFL, O_ASYNC) && write(ends[1], "x", 1) < 0)
        perror("write");
    tell(call, 0);
}

/* It would not be killed with its plugin. */
static void put_a_child_into_a_group(struct bw_plugin_call *call)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) _exit(setpgid(0, 0) ? 1 : 0);
    if (child > 0) waitpid(child, &status, 0);
    tell(call, status == 0);
}

static void lower_limits_of_others(struct bw_plugin_call *call)
{
    struct rlimit limit = {1000, 1000};
    tell(call, prlimit(getppid(), RLIMIT_NOFILE, &limit, NULL) == 0);
}

static void nothing(struct bw_plugin_call *call)
{
    tell(call, 0);
}

/* ---- the plugin ---- */

static const struct {
    const char *name;
    void (*commit)(struct bw_plugin_call *call);
} faults[] = {
    {"nothing", nothing},
    {"segv", segv},
    {"use_bad_address", use_bad_address},
    {"overflow_the_stack", overflow_the_stack},
    {"abort", do_abort},
    {"exit", do_exit},
    {"kill_itself", kill_itself},
    {"wait_for_file", wait_for_file},
    {"wait_in_silence", wait_in_silence},
    {"complete_then_crash", complete_then_crash},
    {"print_line", print_line},
    {"print_and_abort", print_and_abort},
    {"print_much", print_much},
    {"close_low", close_low},
    {"close_all", close_all},
    {"scribble_low", scribble_low},
    {"scribble_high", scribble_high},
    {"half_a_frame", half_a_frame},
    {"leak", leak},
    {"pid", say_pid},
    {"construct_more", construct_more},
    {"open_files", open_files},
    {"open_software", open_software},
    {"open_sockets", open_sockets},
    {"make_a_file", make_a_file},
    {"read_a_file", read_a_file},
    {"bomb", bomb},
    {"execute_a_program", execute_a_program},
    {"reach_others", reach_others},
    {"slow_others_down", slow_others_down},
    {"signal_by_a_descriptor", signal_by_a_descriptor},
    {"forge", forge},
    {"forge_on_line", forge_on_line},
    {"close_line", close_line},
    {"put_a_child_into_a_group", put_a_child_into_a_group},
    {"lower_limits_of_others", lower_limits_of_others},
    {"use_bad_instruction", use_bad_instruction},
    {"smash_the_stack", smash_the_stack},
    {"free_twice", free_twice},
    {"exit_at_once", exit_at_once},
    {"exit_quickly", exit_quickly},
    {"sleep_for_ever", sleep_for_ever},
    {"lock_itself_out", lock_itself_out},
    {"listen_to_nobody", listen_to_nobody},
    {"complete_twice", complete_twice},
    {"complete_again_later", complete_again_later},
    {"answer_too_much", answer_too_much},
    {"answer_no_text", answer_no_text},
    {"answer_deep", answer_deep},
    {"answer_no_number", answer_no_number},
    {"fail_with_no_text", fail_with_no_text},
    {"answer_nothing", answer_nothing},
    {"answer_a_list", answer_a_list},
    {"answer_two_objects", answer_two_objects},
    {"answer_with_nul", answer_with_nul},
    {"answer_the_same_key_twice", answer_the_same_key_twice},
    {"end_as_nothing_known", end_as_nothing_known},
    {"ask_for_another_try_never", ask_for_another_try_never},
    {"fail_with_much_to_say", fail_with_much_to_say},
    {"log_much", log_much},
    {"log_for_ever", log_for_ever},
    {"complete_in_threads", complete_in_threads},
    {"fire_for_ever", fire_for_ever},
    {"change_everything", change_everything},
    {"endless", endless},
    {"take_memory", take_memory},
    {"take_addresses", take_addresses},
    {"take_threads", take_threads},
    {"take_files", take_files},
    {"write_much", write_much},
    {"change_the_fpu", change_the_fpu},
    {"leave_a_child", leave_a_child},
};

static void *start(const struct bw_plugin_host *given, const char *config, char *error, size_t size)
{
    (void)config, (void)error, (void)size;
    host = given;
    return (void *)given;
}

static void execute(void *instance, struct bw_plugin_call *call)
{
    char wanted[64];
    (void)instance;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        snprintf(wanted, sizeof wanted, "\"what\":\"%s\"", faults[i].name);
        if (!strstr(call->input, wanted)) continue;
        faults[i].commit(call);
        return;
    }
    host->complete(host, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_FAIL, .code = "fault.unknown", .message = "there is no such fault"});
}

BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin),
    .abi = BELLWIRE_PLUGIN_ABI,
    .manifest = "{\"name\":\"fault\",\"version\":\"1.0.0\",\"actions\":[{\"name\":\"fault/do\",\"retry\":{\"attempts\":1},\"inputs\":{\"what\":{\"type\":\"string\",\"required\":true},\"path\":{\"type\":\"string\"}}}]" NEEDS "}",
    .init = start,
    .execute = execute,
};
