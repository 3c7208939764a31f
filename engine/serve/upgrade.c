#include "serve/upgrade.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "config/program.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define SELF "/proc/self/exe" /* the program that runs, even if its file is gone */
#define CHECK_MS 120000
#define CHECK_BYTES_MAX (1u << 20) /* of what it lists */

struct bw_upgrade {
    char *path; /* where this program was started from: what is there by then is the next one */
    char **argv, **environment;
    struct bw_inherited sockets;
    bool is_due;
    /* while it is asked */
    struct bw_mailbox *mailbox;
    struct bw_mail mail;
    pthread_t thread;
    bool is_asking, is_good; /* is_good, err: the thread's meanwhile */
    struct bw_error err;
    const char *config_file;
    void (*judged)(void *arg, const struct bw_error *err);
    void *arg;
};

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++) free(list[i]);
    free(list);
}

/* first: NULL, or what comes before all others. */
static char **copy_list(const char *first, char *const *list)
{
    size_t count = 0, copied = 0;
    while (list[count]) count++;
    char **copy = calloc(count + 2, sizeof *copy);
    bool good = copy && (!first || (copy[copied++] = strdup(first)));
    for (size_t i = 0; i < count && good; i++) good = (copy[copied++] = strdup(list[i]));
    if (good) return copy;
    free_list(copy);
    return NULL;
}

/* As it was given to execve(): a symbolic link may lead elsewhere by now. */
static char *own_path(void)
{
    const char *name = (const char *)getauxval(AT_EXECFN);
    char text[4096];
    ssize_t len;
    if (name && *name == '/' && strcmp(name, SELF) != 0) return strdup(name);
    if (name && *name != '/') return realpath(name, NULL);
    if ((len = readlink(SELF, text, sizeof text - 1)) < 0) return NULL;
    text[len] = '\0';
    return strdup(text);
}

struct bw_upgrade *bw_upgrade_new(char *const *argv)
{
    struct bw_upgrade *upgrade = calloc(1, sizeof *upgrade);
    if (upgrade && (upgrade->path = own_path()) && (upgrade->argv = copy_list(upgrade->path, argv)) &&
        (upgrade->environment = copy_list(NULL, environ)))
        return upgrade;
    bw_upgrade_free(upgrade);
    return NULL;
}

/* ---- asking ---- */

static void *ask(void *arg)
{
    struct bw_upgrade *upgrade = arg;
    char *argv[] = {upgrade->path, (char *)"check", upgrade->config_file ? (char *)"--config" : NULL, (char *)upgrade->config_file, NULL};
    const struct bw_program program = {
        .argv = argv, .folder = ".", .most_bytes = CHECK_BYTES_MAX, .deadline_ms = CHECK_MS, .environment = upgrade->environment};
    struct bw_buf said = {0};
    upgrade->is_good = bw_program_read(&program, &said, &upgrade->err);
    bw_buf_free(&said);
    bw_mailbox_post(upgrade->mailbox, &upgrade->mail);
    return NULL;
}

static void end_asking(struct bw_upgrade *upgrade)
{
    pthread_join(upgrade->thread, NULL);
    upgrade->is_asking = false;
}

static void on_answer(struct bw_mail *mail, void *arg)
{
    struct bw_upgrade *upgrade = arg;
    (void)mail;
    if (!upgrade->is_asking) return; /* nobody waits for it any more */
    end_asking(upgrade);
    upgrade->judged(upgrade->arg, upgrade->is_good ? NULL : &upgrade->err);
}

bool bw_upgrade_ask(struct bw_upgrade *upgrade, struct event_base *base, const char *config_file,
                    void (*judged)(void *arg, const struct bw_error *err), void *arg, struct bw_error *err)
{
    int failure;
    if (upgrade->is_asking) return bw_error_set(err, "upgrade.busy", "the next program is being asked already");
    if (!upgrade->mailbox && !(upgrade->mailbox = bw_mailbox_new(base, on_answer, upgrade))) return bw_error_set(err, "memory", "out of memory");
    upgrade->config_file = config_file;
    upgrade->judged = judged;
    upgrade->arg = arg;
    if ((failure = pthread_create(&upgrade->thread, NULL, ask, upgrade)))
        return bw_error_set(err, "upgrade.thread", "no thread to ask the next program with: %s", strerror(failure));
    upgrade->is_asking = true;
    return true;
}

void bw_upgrade_stop_asking(struct bw_upgrade *upgrade)
{
    if (upgrade->is_asking) end_asking(upgrade);
    if (upgrade->mailbox) bw_mailbox_free(upgrade->mailbox);
    upgrade->mailbox = NULL;
}

/* ---- giving the place away ---- */

void bw_upgrade_keep(struct bw_upgrade *upgrade, struct bw_inherited *sockets)
{
    upgrade->sockets = *sockets;
    upgrade->is_due = true;
    *sockets = (struct bw_inherited){0};
}

bool bw_upgrade_is_due(const struct bw_upgrade *upgrade)
{
    return upgrade->is_due;
}

static bool restore_environment(const struct bw_upgrade *upgrade)
{
    if (clearenv()) return false;
    for (size_t i = 0; upgrade->environment[i]; i++)
        if (strchr(upgrade->environment[i], '=') && putenv(upgrade->environment[i])) return false;
    return true;
}

void bw_upgrade_start(struct bw_upgrade *upgrade, struct bw_error *err)
{
    if (!restore_environment(upgrade)) {
        bw_error_set(err, "memory", "out of memory");
        return;
    }
    if (!bw_inherited_hand_over(&upgrade->sockets, err)) return;
    signal(SIGUSR2, SIG_IGN); /* until the next one listens to it: it would end the process */
    execve(upgrade->path, upgrade->argv, environ);
    bw_error_set(err, "upgrade.start", "cannot start %s: %s", upgrade->path, strerror(errno));
    bw_error_hint(err, "the program that ran is started again; put a good one there and send SIGUSR2 once more");
    bw_log_error(BW_LOG_ERROR, "upgrade.failed", err);
    execve(SELF, upgrade->argv, environ);
    bw_error_set(err, "upgrade.start", "cannot start this program again: %s", strerror(errno));
}

void bw_upgrade_free(struct bw_upgrade *upgrade)
{
    if (!upgrade) return;
    bw_inherited_close(&upgrade->sockets);
    free(upgrade->path);
    free_list(upgrade->argv);
    free_list(upgrade->environment);
    free(upgrade);
}
