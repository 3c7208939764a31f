#include "base/mailbox.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct bw_mailbox {
    pthread_mutex_t lock;
    struct bw_mail *first, **last;
    int wake;
    struct event *event;
    bw_mail_receive *receive;
    void *arg;
};

static void deliver(struct bw_mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    struct bw_mail *mail = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    pthread_mutex_unlock(&mailbox->lock);
    while (mail) {
        struct bw_mail *next = mail->next; /* the receiver may free it */
        mailbox->receive(mail, mailbox->arg);
        mail = next;
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;
    (void)what;
    if (read(fd, &count, sizeof count) < 0) return; /* somebody else's wake-up was already taken */
    deliver(arg);
}

struct bw_mailbox *bw_mailbox_new(struct event_base *base, bw_mail_receive *receive, void *arg)
{
    struct bw_mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (!mailbox) return NULL;
    pthread_mutex_init(&mailbox->lock, NULL);
    mailbox->last = &mailbox->first;
    mailbox->receive = receive;
    mailbox->arg = arg;
    mailbox->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    mailbox->event = mailbox->wake < 0 ? NULL : event_new(base, mailbox->wake, EV_READ | EV_PERSIST, on_wake, mailbox);
    if (!mailbox->event || event_add(mailbox->event, NULL)) {
        bw_mailbox_free(mailbox);
        return NULL;
    }
    return mailbox;
}

void bw_mailbox_free(struct bw_mailbox *mailbox)
{
    if (!mailbox) return;
    deliver(mailbox);
    if (mailbox->event) event_free(mailbox->event);
    if (mailbox->wake >= 0) close(mailbox->wake);
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

void bw_mailbox_post(struct bw_mailbox *mailbox, struct bw_mail *mail)
{
    mail->next = NULL;
    pthread_mutex_lock(&mailbox->lock);
    bool was_empty = mailbox->first == NULL;
    *mailbox->last = mail;
    mailbox->last = &mail->next;
    pthread_mutex_unlock(&mailbox->lock);
    if (was_empty) {
        uint64_t one = 1;
        while (write(mailbox->wake, &one, sizeof one) < 0) /* a full counter is a pending wake-up: nothing to do */
            break;
    }
}
