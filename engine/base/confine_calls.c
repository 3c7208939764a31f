/* seccomp: which system calls fail. A list of those that reach out of the process, not of those that are harmless: libraries use what they like, and
 * a call that is not known here does not get any further than the files, addresses and processes that the others have not opened. */
#include "base/confine.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#endif

#ifdef MACHINE
#define X32_FIRST 0x40000000u /* on x86-64 the same calls have a second number from here on */
#define NEW_NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define RULES_MAX 256
#define BLOCKS_MAX 128
#define BLOCKS_TOGETHER 8

/* Other processes, the machine as a whole, ways around this filter. */
static const int never[] = {
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_kcmp,
    SYS_setpriority, /* one of its numbers means all that the user runs, and ioprio_set()'s too */
    SYS_ioprio_set,
    SYS_migrate_pages,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_setsid,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_swapon,
    SYS_swapoff,
    SYS_reboot,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_open_by_handle_at,
    SYS_acct,
    SYS_quotactl,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_vhangup,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
#ifdef SYS_iopl
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
};
static const int schedules[] = {SYS_sched_setaffinity, SYS_sched_setattr, SYS_sched_setparam,
                                SYS_sched_setscheduler}; /* their first argument: whom */
static const int starts_processes[] = {
    SYS_execve,
    SYS_execveat,
#ifdef SYS_fork
    SYS_fork,
    SYS_vfork,
#endif
};

/* The rules for one call. */
struct block {
    int number;
    unsigned short first;
    unsigned char count;
};

struct program {
    struct sock_filter rules[RULES_MAX];
    struct block blocks[BLOCKS_MAX];
    unsigned short count, block_count;
};

static void add(struct program *program, struct sock_filter rule)
{
    if (program->count < RULES_MAX) program->rules[program->count] = rule;
    program->count++;
}

static void load(struct program *program, size_t offset)
{
    add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

static void answer(struct program *program, unsigned action)
{
    add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* The next `count` rules are for this call; they have to end in an answer. */
static void begin(struct program *program, int number, unsigned char count)
{
    if (program->block_count < BLOCKS_MAX)
        program->blocks[program->block_count] = (struct block){.number = number, .first = program->count, .count = (unsigned char)(count + 1)};
    program->block_count++;
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, count));
}

static void refuse(struct program *program, const int *numbers, size_t count, int error)
{
    for (size_t i = 0; i < count; i++) {
        begin(program, numbers[i], 1);
        answer(program, SECCOMP_RET_ERRNO | (unsigned)error);
    }
}

static size_t low_half(int argument)
{
    return offsetof(struct seccomp_data, args) + sizeof(uint64_t) * (size_t)argument + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);
}

static size_t high_half(int argument)
{
    return low_half(argument) ^ 4;
}

/* Refused unless the argument is one of two values. */
static void only(struct program *program, int number, int argument, unsigned value, unsigned other)
{
    begin(program, number, 5);
    load(program, low_half(argument));
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, other, 0, 1));
    answer(program, SECCOMP_RET_ALLOW);
    answer(program, SECCOMP_RET_ERRNO | EPERM);
}

static void add_machine(struct program *program)
{
    load(program, offsetof(struct seccomp_data, arch));
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0));
    answer(program, SECCOMP_RET_ERRNO | ENOSYS);
    load(program, offsetof(struct seccomp_data, nr));
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_FIRST, 0, 1));
    answer(program, SECCOMP_RET_ERRNO | ENOSYS);
}

/* clone3() has its flags in memory, where a filter cannot look: the C library takes clone() then. A thread is CLONE_THREAD. */
static void add_clone(struct program *program, const struct bw_needs *needs)
{
    refuse(program, (const int[]){SYS_clone3}, 1, ENOSYS);
    begin(program, SYS_clone, needs->exec ? 4 : 5);
    load(program, low_half(0));
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NEW_NAMESPACES, needs->exec ? 1 : 2, 0));
    if (!needs->exec) add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
    answer(program, SECCOMP_RET_ALLOW);
    answer(program, SECCOMP_RET_ERRNO | EPERM);
}

/* prlimit() may read the limits, and not set them: its third argument is no address. */
static void add_limits(struct program *program)
{
    begin(program, SYS_prlimit64, 6);
    load(program, low_half(2));
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3));
    load(program, high_half(2));
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1));
    answer(program, SECCOMP_RET_ALLOW);
    answer(program, SECCOMP_RET_ERRNO | EPERM);
}

/* Without the network: none. With it IPv4, IPv6, and netlink, by which the C library asks for the addresses of this machine. Unix sockets, behind
 * which the powers of others are, are a need of their own. Without it a pair of sockets is a pipe, unless it is of datagrams: those can be sent
 * elsewhere. */
static void add_sockets(struct program *program, const struct bw_needs *needs)
{
    unsigned families[4];
    unsigned char count = 0;
    if (needs->network) {
        families[count++] = AF_INET;
        families[count++] = AF_INET6;
        families[count++] = AF_NETLINK;
    }
    if (needs->local) families[count++] = AF_UNIX;
    begin(program, SYS_socket, (unsigned char)(count + 3));
    load(program, low_half(0));
    for (unsigned char i = 0; i < count; i++)
        add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, families[i], (unsigned char)(count - i), 0));
    answer(program, SECCOMP_RET_ERRNO | EACCES);
    answer(program, SECCOMP_RET_ALLOW);
    if (needs->local) return;
    begin(program, SYS_socketpair, 5);
    load(program, low_half(1));
    add(program, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf));
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOCK_DGRAM, 1, 0));
    answer(program, SECCOMP_RET_ALLOW);
    answer(program, SECCOMP_RET_ERRNO | EACCES);
}

static int by_number(const void *one, const void *other)
{
    const struct block *a = one, *b = other;
    return (a->number > b->number) - (a->number < b->number);
}

/* The same blocks by their numbers, with the way past several of them in front of these, and the end behind them. For every call that there is the
 * kernel runs the filter once when it takes it: through all of the blocks that was most of what it costs to confine a process. */
static bool arrange(struct program *from, struct program *to)
{
    if (from->count > RULES_MAX || from->block_count > BLOCKS_MAX) return false;
    qsort(from->blocks, from->block_count, sizeof *from->blocks, by_number);
    add_machine(to);
    for (size_t i = 0, next; i < from->block_count; i = next) {
        unsigned char rules = 1;
        for (next = i; next < from->block_count && next < i + BLOCKS_TOGETHER; next++) rules = (unsigned char)(rules + from->blocks[next].count);
        if (next < from->block_count) add(to, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (unsigned)from->blocks[next].number, rules, 0));
        for (size_t k = i; k < next; k++)
            for (size_t rule = 0; rule < from->blocks[k].count; rule++) add(to, from->rules[from->blocks[k].first + rule]);
        answer(to, SECCOMP_RET_ALLOW);
    }
    return to->count <= RULES_MAX;
}

bool bw_confine_calls(const struct bw_needs *needs)
{
    static struct program program, arranged;
    unsigned self = (unsigned)getpid();
    refuse(&program, never, sizeof never / sizeof *never, EPERM);
    if (!needs->groups) refuse(&program, (const int[]){SYS_setpgid}, 1, EPERM);
    if (!needs->exec) refuse(&program, (const int[]){SYS_setrlimit}, 1, EPERM); /* its own; prlimit() reaches others */
    if (!needs->exec) {
        refuse(&program, starts_processes, sizeof starts_processes / sizeof *starts_processes, EPERM);
        refuse(&program, (const int[]){SYS_tkill}, 1, EPERM);
        only(&program, SYS_kill, 0, self, 0); /* 0: its group, which is itself */
        only(&program, SYS_tgkill, 0, self, self);
    }
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++) only(&program, schedules[i], 0, self, 0);
    add_clone(&program, needs);
    add_limits(&program);
    add_sockets(&program, needs);
    if (!arrange(&program, &arranged)) return false;
    struct sock_fprog whole = {.len = arranged.count, .filter = arranged.rules};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) == 0;
}
#else
bool bw_confine_calls(const struct bw_needs *needs)
{
    (void)needs;
    return false;
}
#endif
