/* notify.h: what the service manager is told (systemd's Type=notify; sd_notify(3)): lines of NAME=VALUE to the socket of $NOTIFY_SOCKET. Without the
 * variable nothing is told, and nothing fails. A message that cannot be sent is lost: the engine serves, whoever listens. Main thread. */
#ifndef BW_SERVE_NOTIFY_H
#define BW_SERVE_NOTIFY_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct event_base;
struct event;
struct bw_notify {
    int fd; /* -1: nobody wants to know */
    struct sockaddr_un to;
    socklen_t len;
    int64_t watchdog_us; /* after that long without a sign of life the engine is ended; 0: nobody watches */
    bool (*is_alive)(void *arg);
    void *arg;
    struct event *watchdog; /* NULL: nobody watches */
};
/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment. What is unusable in them is logged. From here on, twice
 * in the time that the watchdog has, is_alive() is asked and, if it says so, the service manager told. False: no memory. */
bool bw_notify_open(struct bw_notify *notify, struct event_base *base, bool (*is_alive)(void *arg), void *arg);
void bw_notify_tell(const struct bw_notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bw_notify_close(struct bw_notify *notify); /* one that is all zero: nothing */

/* "/run/x" is a path, "@x" an abstract name. False: it is neither, or too long. */
bool bw_notify_address(const char *text, struct sockaddr_un *out, socklen_t *len);
/* Of the variables' texts, each NULL when it is not set; 0: nobody watches the process `pid`. */
int64_t bw_notify_watchdog_us(const char *usec, const char *watchdog_pid, long pid);
#endif
