#include "post.h"
#include "shared/mailbox.h"
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define IDLE_S 30 /* a thread waits so long for another mail */

TAILQ_HEAD(transfers, mail_transfer);

struct mail_post {
    const struct bw_plugin_host *host;
    struct mailbox *mailbox;
    int threads;
    pthread_mutex_t lock; /* of all below, and of fd in transfers that are running */
    pthread_cond_t has_work, has_answer, has_ended;
    struct transfers waiting, running;
    int waiting_count, started, idle;
    bool is_ending;
};

/* ---- what a thread asks the loop ---- */

struct question {
    struct letter letter;
    struct mail_post *post;
    const struct sockaddr *address;
    size_t len;
    bool is_answered, answer;
};

static void on_question(struct letter *letter)
{
    struct question *question = (struct question *)((char *)letter - offsetof(struct question, letter));
    struct mail_post *post = question->post;
    bool answer = post->host->may_connect(post->host, question->address, question->len);
    pthread_mutex_lock(&post->lock);
    question->answer = answer;
    question->is_answered = true;
    pthread_cond_broadcast(&post->has_answer);
    pthread_mutex_unlock(&post->lock);
}

bool mail_post_may_connect(struct mail_post *post, const struct sockaddr *address, size_t len)
{
    struct question question = {.letter.open = on_question, .post = post, .address = address, .len = len};
    mailbox_post(post->mailbox, &question.letter);
    pthread_mutex_lock(&post->lock);
    while (!question.is_answered && !post->is_ending) pthread_cond_wait(&post->has_answer, &post->lock);
    pthread_mutex_unlock(&post->lock);
    return question.is_answered && question.answer;
}

void mail_post_set_socket(struct mail_post *post, struct mail_transfer *transfer, int fd)
{
    pthread_mutex_lock(&post->lock);
    transfer->fd = fd;
    if (fd >= 0 && (post->is_ending || transfer->is_given_up)) shutdown(fd, SHUT_RDWR);
    pthread_mutex_unlock(&post->lock);
}

/* ---- threads ---- */

static struct mail_transfer *take(struct mail_post *post)
{
    struct mail_transfer *transfer = post->is_ending ? NULL : TAILQ_FIRST(&post->waiting);
    if (!transfer) return NULL;
    TAILQ_REMOVE(&post->waiting, transfer, link);
    post->waiting_count--;
    TAILQ_INSERT_TAIL(&post->running, transfer, link);
    return transfer;
}

/* NULL: there was none for the idle time, or it is the end. */
static struct mail_transfer *wait_for_work(struct mail_post *post)
{
    struct timespec until;
    struct mail_transfer *transfer;
    bool is_over = false;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += IDLE_S;
    post->idle++;
    while (!(transfer = take(post)) && !post->is_ending && !is_over)
        is_over = pthread_cond_timedwait(&post->has_work, &post->lock, &until) == ETIMEDOUT;
    post->idle--;
    return transfer;
}

static void *work(void *arg)
{
    struct mail_post *post = arg;
    struct mail_transfer *transfer;
    CURL *easy = curl_easy_init();
    pthread_mutex_lock(&post->lock);
    while ((transfer = wait_for_work(post))) {
        pthread_mutex_unlock(&post->lock);
        CURLcode result = easy ? mail_transfer_perform(transfer, easy) : CURLE_OUT_OF_MEMORY;
        pthread_mutex_lock(&post->lock);
        TAILQ_REMOVE(&post->running, transfer, link);
        pthread_mutex_unlock(&post->lock);
        mail_transfer_complete(transfer, result);
        mail_transfer_free(transfer);
        pthread_mutex_lock(&post->lock);
    }
    pthread_mutex_unlock(&post->lock);
    curl_easy_cleanup(easy);
    pthread_mutex_lock(&post->lock);
    post->started--;
    pthread_cond_signal(&post->has_ended);
    pthread_mutex_unlock(&post->lock);
    return NULL;
}

static bool start_thread(struct mail_post *post)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, post)) return false;
    pthread_detach(thread);
    post->started++;
    return true;
}

/* ---- the loop's side ---- */

struct mail_post *mail_post_new(const struct bw_plugin_host *host, int threads)
{
    struct mail_post *post = calloc(1, sizeof *post);
    if (!post || !(post->mailbox = mailbox_new(host))) {
        free(post);
        return NULL;
    }
    post->host = host;
    post->threads = threads;
    pthread_mutex_init(&post->lock, NULL);
    pthread_cond_init(&post->has_work, NULL);
    pthread_cond_init(&post->has_answer, NULL);
    pthread_cond_init(&post->has_ended, NULL);
    TAILQ_INIT(&post->waiting);
    TAILQ_INIT(&post->running);
    return post;
}

void mail_post_submit_take(struct mail_post *post, struct mail_transfer *transfer)
{
    transfer->post = post;
    pthread_mutex_lock(&post->lock);
    bool is_taken = post->idle > post->waiting_count || post->started >= post->threads || start_thread(post) || post->started > 0;
    if (is_taken) {
        TAILQ_INSERT_TAIL(&post->waiting, transfer, link);
        post->waiting_count++;
        pthread_cond_signal(&post->has_work);
    }
    pthread_mutex_unlock(&post->lock);
    if (is_taken) return;
    mail_transfer_complete(transfer, CURLE_OUT_OF_MEMORY);
    mail_transfer_free(transfer);
}

/* A thread that waits for a server hears of it by its socket. */
static void give_up(struct mail_transfer *transfer)
{
    transfer->is_given_up = true;
    if (transfer->fd >= 0) shutdown(transfer->fd, SHUT_RDWR);
}

void mail_post_cancel(struct mail_post *post, const struct bw_plugin_call *call)
{
    struct mail_transfer *transfer;
    pthread_mutex_lock(&post->lock);
    TAILQ_FOREACH(transfer, &post->running, link)
    if (transfer->call == call) give_up(transfer);
    TAILQ_FOREACH(transfer, &post->waiting, link)
    if (transfer->call == call) break;
    if (transfer) {
        TAILQ_REMOVE(&post->waiting, transfer, link);
        post->waiting_count--;
    }
    pthread_mutex_unlock(&post->lock);
    if (!transfer) return;
    transfer->is_given_up = true;
    mail_transfer_complete(transfer, CURLE_ABORTED_BY_CALLBACK);
    mail_transfer_free(transfer);
}

void mail_post_free(struct mail_post *post)
{
    struct mail_transfer *transfer;
    pthread_mutex_lock(&post->lock);
    post->is_ending = true;
    TAILQ_FOREACH(transfer, &post->running, link) give_up(transfer);
    pthread_cond_broadcast(&post->has_work);
    pthread_cond_broadcast(&post->has_answer);
    while (post->started) pthread_cond_wait(&post->has_ended, &post->lock);
    pthread_mutex_unlock(&post->lock);
    mailbox_free(post->mailbox);
    pthread_cond_destroy(&post->has_ended);
    pthread_cond_destroy(&post->has_answer);
    pthread_cond_destroy(&post->has_work);
    pthread_mutex_destroy(&post->lock);
    free(post);
}
