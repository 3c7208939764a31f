/* file.h: a plugin's shared object as it was at one moment, for all processes that are made of it.
 *
 * A file that is mapped must not be written: with `cp new.so plugins/shout.so` a process that runs the old one would end by SIGBUS, or by code that
 * is half old and half new. So processes load a copy, in memory that has no name and that nobody can change. Any thread; no state. */
#ifndef BW_PLUGIN_FILE_H
#define BW_PLUGIN_FILE_H
#include "base/error.h"
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct bw_plugin_file {
    int copy; /* descriptor, close-on-exec; -1: there is none, the path has to do */
    uint8_t hash[32];
    /* Which file it was: one that has the same has not been touched since. */
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};
#define BW_PLUGIN_FILE_NONE ((struct bw_plugin_file){.copy = -1})
/* Reads and copies it. False: err says why it cannot be used (plugin.unreadable, plugin.writable; plugin.not_loadable: a part of it only), with the
 * cure. */
bool bw_plugin_file_read(const char *path, struct bw_plugin_file *out, struct bw_error *err);
bool bw_plugin_file_is_same(const struct bw_plugin_file *file, const char *path); /* does it lie there untouched? */
/* How long ago it was written, or put there, at last; a second and more may be said as any long time. */
int64_t bw_plugin_file_rests_us(const char *path);
bool bw_plugin_file_is_there(const char *path);
void bw_plugin_file_close(struct bw_plugin_file *file);
#endif
