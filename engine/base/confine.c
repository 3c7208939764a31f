#include "base/confine.h"
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAPABILITIES 64

struct bw_needs bw_needs_read(const json_t *texts)
{
    struct bw_needs needs = {.texts = texts};
    json_t *text;
    size_t index;
    json_array_foreach(texts, index, text)
    {
        needs.network |= bw_slice_is(bw_json_slice(text), "network");
        needs.local |= bw_slice_is(bw_json_slice(text), "unix");
        needs.exec |= bw_slice_is(bw_json_slice(text), "exec");
        needs.groups |= bw_slice_is(bw_json_slice(text), "groups");
    }
    return needs;
}

bool bw_need_is_known(const char *text)
{
    static const char *const words[] = {"network", "unix", "exec", "groups"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i])) return true;
    return !strncmp(text, "files:/", 7) || !strncmp(text, "reads:/", 7);
}

/* An engine that runs as root has plugins that run as root. Of what root may do they keep to read and write files of others, which is bounded by
 * paths: a plugin's folder may belong to somebody else. */
void bw_confine_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct had[2], kept[2] = {0};
    const uint32_t files = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;
    for (int i = 0; i < CAPABILITIES; i++)
        if (i != CAP_DAC_OVERRIDE && i != CAP_DAC_READ_SEARCH) prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    if (syscall(SYS_capget, &head, had)) return;
    kept[0].effective = had[0].effective & files;
    kept[0].permitted = had[0].permitted & files;
    syscall(SYS_capset, &head, kept);
}

void bw_confine_plugin(const struct bw_needs *needs, const char *folder, char *open, size_t size)
{
    bw_confine_capabilities();
    bool has_files = bw_confine_files(needs, folder), has_calls = bw_confine_calls(needs);
    snprintf(open, size, "%s%s%s", has_files ? "" : "this kernel has no Landlock: a plugin may open every file that the engine's user may",
             has_files || has_calls ? "" : "; ",
             has_calls ? "" : "this kernel or processor has no seccomp filter: a plugin may connect to the network and start processes");
}
