#include "base/mailbox.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct bw_mailbox {
    pthread_mutex_t lock;
    _Atomic(struct bw_mail *) first; /* written under the lock */
    struct bw_mail *last;            /* behind NULL: of no meaning */
    bool is_woken;                   /* the loop has still to hear of the last wake-up */
    bool is_delivering;              /* loop's thread */
    int wake;
    struct event *event;
    bw_mail_receive *receive;
    void *arg;
};

static void hand_over(struct bw_mailbox *mailbox, struct bw_mail *mail)
{
    mailbox->is_delivering = true;
    while (mail) {
        struct bw_mail *next = mail->next; /* the receiver may free it */
        mailbox->receive(mail, mailbox->arg);
        mail = next;
    }
    mailbox->is_delivering = false;
}

static void deliver(struct bw_mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    struct bw_mail *mail = atomic_load_explicit(&mailbox->first, memory_order_relaxed);
    atomic_store_explicit(&mailbox->first, NULL, memory_order_relaxed);
    mailbox->is_woken = false;
    pthread_mutex_unlock(&mailbox->lock);
    hand_over(mailbox, mail);
}

void bw_mailbox_take(struct bw_mailbox *mailbox, int kind)
{
    struct bw_mail *last = NULL;
    if (mailbox->is_delivering || !atomic_load_explicit(&mailbox->first, memory_order_relaxed)) return;
    pthread_mutex_lock(&mailbox->lock);
    struct bw_mail *first = atomic_load_explicit(&mailbox->first, memory_order_relaxed), *rest = first;
    for (; rest && rest->kind == kind; rest = rest->next) last = rest;
    if (last) last->next = NULL;
    atomic_store_explicit(&mailbox->first, rest, memory_order_relaxed);
    pthread_mutex_unlock(&mailbox->lock);
    if (last) hand_over(mailbox, first);
}

void bw_mailbox_hold(struct bw_mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->is_woken = true;
    pthread_mutex_unlock(&mailbox->lock);
}

void bw_mailbox_release(struct bw_mailbox *mailbox)
{
    deliver(mailbox);
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
    if (atomic_load_explicit(&mailbox->first, memory_order_relaxed))
        mailbox->last->next = mail;
    else
        atomic_store_explicit(&mailbox->first, mail, memory_order_relaxed);
    mailbox->last = mail;
    bool wakes = !mailbox->is_woken;
    mailbox->is_woken = true;
    pthread_mutex_unlock(&mailbox->lock);
    if (wakes) {
        uint64_t one = 1;
        while (write(mailbox->wake, &one, sizeof one) < 0) /* a full counter is a pending wake-up: nothing to do */
            break;
    }
}
