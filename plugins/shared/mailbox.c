#include "shared/mailbox.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
    const struct bw_plugin_host *host;
    struct bw_plugin_watch *watch;
    int fd;
    pthread_mutex_t lock; /* of first and last */
    struct letter *first, **last;
};

static void on_ready(void *arg, int fd, int what)
{
    struct mailbox *mailbox = arg;
    uint64_t count;
    (void)what;
    if (read(fd, &count, sizeof count) < 0) return;
    pthread_mutex_lock(&mailbox->lock);
    struct letter *letter = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    pthread_mutex_unlock(&mailbox->lock);
    while (letter) {
        struct letter *next = letter->next;
        letter->open(letter);
        letter = next;
    }
}

struct mailbox *mailbox_new(const struct bw_plugin_host *host)
{
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (!mailbox) return NULL;
    mailbox->host = host;
    mailbox->last = &mailbox->first;
    pthread_mutex_init(&mailbox->lock, NULL);
    mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->fd >= 0) mailbox->watch = host->watch_fd(host, mailbox->fd, BW_PLUGIN_READ, on_ready, mailbox);
    if (mailbox->watch) return mailbox;
    mailbox_free(mailbox);
    return NULL;
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
    letter->next = NULL;
    pthread_mutex_lock(&mailbox->lock);
    *mailbox->last = letter;
    mailbox->last = &letter->next;
    pthread_mutex_unlock(&mailbox->lock);
    ssize_t ignored = write(mailbox->fd, &(uint64_t){1}, sizeof(uint64_t)); /* fails only when it is full, and then it is readable */
    (void)ignored;
}

void mailbox_free(struct mailbox *mailbox)
{
    if (mailbox->watch) mailbox->host->unwatch(mailbox->host, mailbox->watch);
    if (mailbox->fd >= 0) close(mailbox->fd);
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}
