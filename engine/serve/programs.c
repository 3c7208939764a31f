#include "serve/programs.h"
#include "base/log.h"
#include "base/mailbox.h"
#include <pthread.h>
#include <stdlib.h>

struct bw_programs_asked {
    struct bw_mailbox *mailbox;
    struct bw_mail mail;
    const char *file;
    void (*done)(void *arg);
    void *arg;
    pthread_t thread;
    bool is_asking, is_wanted;
    struct bw_errors errs; /* the thread's while is_asking */
};

static void *ask(void *arg)
{
    struct bw_programs_asked *programs = arg;
    bw_config_free(bw_config_load(programs->file, &programs->errs)); /* what they have said stays known */
    bw_mailbox_post(programs->mailbox, &programs->mail);
    return NULL;
}

static void end(struct bw_programs_asked *programs)
{
    pthread_join(programs->thread, NULL);
    programs->is_asking = false;
}

static void on_asked(struct bw_mail *mail, void *arg)
{
    struct bw_programs_asked *programs = arg;
    (void)mail;
    if (!programs->is_asking) return; /* it is being freed */
    end(programs);
    for (size_t i = 0; i < programs->errs.count; i++) bw_log_error(BW_LOG_ERROR, "catalog.error", &programs->errs.items[i]);
    if (programs->errs.count)
        bw_log(BW_LOG_ERROR, "catalog.refused", BW_INT("errors", programs->errs.count),
               BW_STR("message", "bellwire.yaml is not read again: what it said before counts on"));
    else
        programs->done(programs->arg);
    if (programs->is_wanted) bw_programs_ask(programs);
}

struct bw_programs_asked *bw_programs_new(struct event_base *base, const char *file, void (*done)(void *arg), void *arg)
{
    struct bw_programs_asked *programs = calloc(1, sizeof *programs);
    if (!programs) return NULL;
    *programs = (struct bw_programs_asked){.file = file, .done = done, .arg = arg, .mailbox = bw_mailbox_new(base, on_asked, programs)};
    if (programs->mailbox) return programs;
    free(programs);
    return NULL;
}

void bw_programs_ask(struct bw_programs_asked *programs)
{
    programs->is_wanted = programs->is_asking;
    if (programs->is_asking) return;
    bw_errors_free(&programs->errs);
    programs->errs = (struct bw_errors){0};
    programs->is_asking = !pthread_create(&programs->thread, NULL, ask, programs);
    if (!programs->is_asking) bw_log(BW_LOG_ERROR, "catalog.refused", BW_STR("message", "no thread to read bellwire.yaml with"));
}

bool bw_programs_are_asked(const struct bw_programs_asked *programs)
{
    return programs->is_asking;
}

void bw_programs_free(struct bw_programs_asked *programs)
{
    if (!programs) return;
    if (programs->is_asking) end(programs);
    bw_mailbox_free(programs->mailbox);
    bw_errors_free(&programs->errs);
    free(programs);
}
