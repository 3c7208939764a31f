/* Landlock: which files may be opened. By its system calls, which the C library does not know; what a newer kernel can bound is bounded there. */
#include "base/confine.h"
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As in linux/landlock.h, which may be older than the kernel. */
#define ACCESS_EXECUTE (1ull << 0)
#define ACCESS_WRITE_FILE (1ull << 1)
#define ACCESS_READ_FILE (1ull << 2)
#define ACCESS_READ_DIR (1ull << 3)
#define ACCESS_REFER (1ull << 13)     /* ABI 2 */
#define ACCESS_TRUNCATE (1ull << 14)  /* ABI 3 */
#define ACCESS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define ACCESS_FIRST ((1ull << 13) - 1)
#define OF_FILES (ACCESS_EXECUTE | ACCESS_WRITE_FILE | ACCESS_READ_FILE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)
#define READ (ACCESS_READ_FILE | ACCESS_READ_DIR)
#define SCOPE_ABSTRACT_SOCKETS (1ull << 0) /* ABI 6 */
#define SCOPE_SIGNALS (1ull << 1)
#define RULE_PATH_BENEATH 1

struct ruleset_attributes {
    uint64_t files, ports, scopes;
};
struct path_attributes {
    uint64_t allowed;
    int32_t folder;
} __attribute__((packed));

struct rules {
    int fd;
    uint64_t handled;
};

/* What is not there need not be allowed. */
static void allow(const struct rules *rules, const char *path, uint64_t access)
{
    struct stat info;
    int fd = path && *path ? open(path, O_PATH | O_CLOEXEC) : -1;
    if (fd < 0) return;
    if (!fstat(fd, &info)) {
        struct path_attributes attributes = {access & rules->handled & (S_ISDIR(info.st_mode) ? UINT64_MAX : OF_FILES), fd};
        syscall(SYS_landlock_add_rule, rules->fd, RULE_PATH_BENEATH, &attributes, 0);
    }
    close(fd);
}

static void allow_list(const struct rules *rules, const char *paths, uint64_t access)
{
    char *copy = paths ? strdup(paths) : NULL, *rest = NULL;
    for (char *path = copy ? strtok_r(copy, ":", &rest) : NULL; path; path = strtok_r(NULL, ":", &rest)) allow(rules, path, access);
    free(copy);
}

/* A link into a folder of somebody who writes it anew now and then (systemd-resolved): the folder, as the file of today is gone tomorrow. */
static void allow_resolver(const struct rules *rules)
{
    char target[PATH_MAX];
    struct stat info;
    allow(rules, "/etc/resolv.conf", READ);
    if (!lstat("/etc/resolv.conf", &info) && S_ISLNK(info.st_mode) && realpath("/etc/resolv.conf", target)) allow(rules, dirname(target), READ);
}

static void allow_network(const struct rules *rules)
{
    static const char names[] = "/etc/hosts:/etc/host.conf:/etc/nsswitch.conf:/etc/gai.conf:/etc/services:/etc/protocols";
    static const char trust[] = "/etc/ssl:/etc/pki:/etc/ca-certificates:/etc/crypto-policies";
    allow_list(rules, names, READ);
    allow_list(rules, trust, READ);
    allow_resolver(rules);
    allow(rules, getenv("SSL_CERT_FILE"), READ);
    allow_list(rules, getenv("SSL_CERT_DIR"), READ);
    allow(rules, getenv("CURL_CA_BUNDLE"), READ);
}

static void allow_all(const struct rules *rules, const struct bw_needs *needs, const char *folder)
{
    static const char software[] = "/usr:/lib:/lib32:/lib64:/bin:/sbin:/opt:/nix/store:/gnu/store";
    static const char facts[] = "/etc/ld.so.cache:/etc/localtime:/etc/timezone:/proc/self:/proc/cpuinfo:/proc/meminfo:/sys/devices/system/cpu";
    json_t *text;
    size_t index;
    allow_list(rules, software, READ | (needs->exec ? ACCESS_EXECUTE : 0));
    allow_list(rules, facts, READ);
    allow_list(rules, "/dev/null:/dev/zero", READ | ACCESS_WRITE_FILE | ACCESS_TRUNCATE);
    allow_list(rules, "/dev/random:/dev/urandom", READ);
    allow(rules, folder, READ);
    allow_list(rules, getenv("LD_LIBRARY_PATH"), READ);
    if (needs->network) allow_network(rules);
    json_array_foreach(needs->texts, index, text)
    {
        const char *path = json_string_value(text);
        uint64_t execute = needs->exec ? ACCESS_EXECUTE : 0;
        if (path && !strncmp(path, "files:", 6)) allow(rules, path + 6, ~ACCESS_EXECUTE | execute);
        if (path && !strncmp(path, "reads:", 6)) allow(rules, path + 6, READ | execute);
    }
}

bool bw_confine_files(const struct bw_needs *needs, const char *folder)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
    struct rules rules = {.handled = ACCESS_FIRST};
    uint64_t scopes = SCOPE_SIGNALS | (needs->local ? 0 : SCOPE_ABSTRACT_SOCKETS);
    if (abi < 1) return false;
    if (abi >= 2) rules.handled |= ACCESS_REFER;
    if (abi >= 3) rules.handled |= ACCESS_TRUNCATE;
    if (abi >= 5) rules.handled |= ACCESS_IOCTL_DEV;
    struct ruleset_attributes attributes = {.files = rules.handled, .scopes = abi >= 6 ? scopes : 0};
    size_t size = abi >= 6 ? sizeof attributes : abi >= 4 ? offsetof(struct ruleset_attributes, scopes) : offsetof(struct ruleset_attributes, ports);
    if ((rules.fd = (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0)) < 0) return false;
    allow_all(&rules, needs, folder);
    bool done = syscall(SYS_landlock_restrict_self, rules.fd, 0) == 0;
    close(rules.fd);
    return done;
}
