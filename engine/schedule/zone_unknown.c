/* Which zone somebody meant. The folder itself is the list: tzdata.zi and zone1970.tab are not installed everywhere, the files are. */
#include "base/file.h"
#include "base/suggest.h"
#include "schedule/zone_parts.h"

static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* "Berlin", "europe/berlin" and "New_York" are clearer than any distance between words. */
static const char *same_place(struct bw_slice name, char *const *zones, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bw_slice_is_nocase(name, zones[i])) return zones[i];
    for (size_t i = 0; i < count; i++)
        if (bw_slice_is_nocase(name, last_part(zones[i]))) return zones[i];
    return NULL;
}

void bw_zone_unknown(struct bw_slice name, const char *folder, struct bw_error *err)
{
    char **zones = NULL;
    size_t count = 0;
    if (!bw_file_list(folder, "", true, &zones, &count, NULL) || count == 0) {
        bw_error_set(err, "zone.database", "the time zone '%.*s' needs the time zone database, which is not in %s", (int)name.len, name.ptr, folder);
        bw_error_hint(err, "install the package tzdata, or use UTC");
        bw_file_list_free(zones, count);
        return;
    }
    bw_error_set(err, "zone.unknown", "there is no time zone '%.*s' in %s", (int)name.len, name.ptr, folder);
    const char *near = same_place(name, zones, count);
    if (!near) near = bw_suggest(name, (const char *const *)zones, count);
    if (near)
        bw_error_hint(err, "did you mean '%s'?", near);
    else
        bw_error_hint(err, "names are like Europe/Berlin or America/New_York; the files in %s are all of them", folder);
    bw_file_list_free(zones, count);
}
