/* The last words of a host: which signal, where. They go into a pipe that the engine reads afterwards.
 *
 * The handler runs in a process whose memory may be damaged in any way: it allocates nothing and takes no lock of ours, its stack is its own, the
 * pipe does not block, what is certain is written first, and a timer ends the process if the walk over the stack does not. */
#include "host/internal.h"
#include <execinfo.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define FRAMES_MAX 64
#define STACK_BYTES (128u << 10)
#define SECONDS 1

static const struct {
    int number;
    const char *name;
} deadly[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGILL, "SIGILL"},  {SIGFPE, "SIGFPE"},
              {SIGABRT, "SIGABRT"}, {SIGSYS, "SIGSYS"}, {SIGTRAP, "SIGTRAP"}};
static int report = -1;

static void say(const char *text)
{
    ssize_t ignored = write(report, text, strlen(text));
    (void)ignored;
}

static void say_number(uint64_t number)
{
    char text[17] = "", *at = text + sizeof text - 1;
    do {
        *--at = "0123456789abcdef"[number & 15];
    } while (number >>= 4);
    say(at);
}

static uint64_t code_address(const void *context)
{
    const ucontext_t *machine = context;
#if defined(__x86_64__)
    return (uint64_t)machine->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return machine->uc_mcontext.pc;
#else
    (void)machine;
    return 0;
#endif
}

static void end_soon(void)
{
    sigset_t alarm_only;
    signal(SIGALRM, SIG_DFL);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
    alarm(SECONDS);
}

static void on_deadly(int number, siginfo_t *info, void *context)
{
    void *frames[FRAMES_MAX];
    int first = 0;
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        if (deadly[i].number == number) say(deadly[i].name);
    if (info->si_code > 0 && number != SIGABRT) { /* by the machine, not by kill() or raise() */
        say(" at address 0x");
        say_number((uint64_t)(uintptr_t)info->si_addr);
    }
    say("\n");
    end_soon();
    int count = backtrace(frames, FRAMES_MAX);
    while (first < count && (uint64_t)(uintptr_t)frames[first] != code_address(context)) first++;
    if (first == count) first = 0; /* the frames of this handler are not left out then */
    if (count) backtrace_symbols_fd(frames + first, count - first, report);
    raise(number); /* SA_RESETHAND: it ends the process now */
}

bool bw_host_report_crashes(int fd)
{
    stack_t stack = {.ss_sp = malloc(STACK_BYTES), .ss_size = STACK_BYTES};
    struct sigaction action = {.sa_sigaction = on_deadly, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | (int)SA_RESETHAND};
    void *frame[1];
    report = fd;
    backtrace(frame, 1); /* the first one loads a library, which the handler must not do */
    if (!stack.ss_sp || sigaltstack(&stack, NULL)) return false;
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        if (sigaction(deadly[i].number, &action, NULL)) return false;
    return true;
}

void bw_host_last_words(const char *text)
{
    say(text);
    say("\n");
}
