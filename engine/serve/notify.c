#include "serve/notify.h"
#include "base/log.h"
#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool bw_notify_address(const char *text, struct sockaddr_un *out, socklen_t *len)
{
    size_t length = strlen(text);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (length < 2 || (*text != '/' && *text != '@') || length >= sizeof out->sun_path) return false;
    memcpy(out->sun_path, text, length);
    if (*text == '@') out->sun_path[0] = '\0';
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length); /* an abstract name has no end of its own: its length is the address's */
    return true;
}

static int64_t read_number(const char *text)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;
    return digits && digits <= 18 && !text[digits] ? strtoll(text, NULL, 10) : -1;
}

int64_t bw_notify_watchdog_us(const char *usec, const char *watchdog_pid, long pid)
{
    int64_t us = read_number(usec);
    return us > 0 && (!watchdog_pid || read_number(watchdog_pid) == pid) ? us : 0;
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
    struct bw_notify *notify = arg;
    (void)fd, (void)what;
    if (notify->is_alive(notify->arg)) bw_notify_tell(notify, "WATCHDOG=1");
}

bool bw_notify_open(struct bw_notify *notify, struct event_base *base, bool (*is_alive)(void *arg), void *arg)
{
    const char *socket_name = getenv("NOTIFY_SOCKET");
    *notify = (struct bw_notify){.fd = -1, .is_alive = is_alive, .arg = arg};
    if (socket_name && !bw_notify_address(socket_name, &notify->to, &notify->len))
        bw_log(BW_LOG_WARN, "notify.socket", BW_STR("socket", socket_name),
               BW_STR("message", "NOTIFY_SOCKET is no path and no abstract name: the service manager is told nothing"));
    else if (socket_name && (notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
        bw_log(BW_LOG_WARN, "notify.socket", BW_STR("message", strerror(errno)));
    if (notify->fd >= 0) notify->watchdog_us = bw_notify_watchdog_us(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), getpid());
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    if (!notify->watchdog_us) return true;
    const struct timeval half = {.tv_sec = notify->watchdog_us / 2000000, .tv_usec = notify->watchdog_us / 2 % 1000000};
    notify->watchdog = event_new(base, -1, EV_PERSIST, on_watchdog, notify);
    return notify->watchdog && !event_add(notify->watchdog, &half);
}

void bw_notify_tell(const struct bw_notify *notify, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    if (notify->fd < 0) return;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (len <= 0) return;
    if ((size_t)len >= sizeof text) len = (int)sizeof text - 1;
    if (sendto(notify->fd, text, (size_t)len, MSG_NOSIGNAL, (const struct sockaddr *)&notify->to, notify->len) < 0)
        bw_log(BW_LOG_WARN, "notify.lost", BW_STR("message", strerror(errno)));
}

void bw_notify_close(struct bw_notify *notify)
{
    if (!notify->is_alive) return; /* never opened: descriptor 0 is not ours */
    if (notify->watchdog) event_free(notify->watchdog);
    if (notify->fd >= 0) close(notify->fd);
    *notify = (struct bw_notify){.fd = -1};
}
