#include "store/version.h"
#include "base/crash_point.h"
#include "base/json.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdio.h>

/* A build for tests alone has any. */
static void print_crash_points(void)
{
#ifdef BELLWIRE_TEST_HOOKS
    for (int i = 0; i < BW_CRASH_POINT_COUNT; i++) printf("%s\"%s\"", i ? "," : ",\"crash_points\":[", bw_crash_point_names[i]);
    putchar(']');
#endif
}

static int version_main(int argc, char **argv)
{
    bool as_json = false;
    const struct bw_option options[] = {{.name = "json", .flag = &as_json}};
    int first, status = bw_options_parse(&bw_command_version, argc, argv, options, 1, &first);
    if (status >= 0) return status;
    if (as_json) {
        printf("{\"bellwire\":\"%s\",\"libevent\":\"%s\",\"openssl\":\"%s\",\"jansson\":\"%s\",\"sqlite\":\"%s\"", BELLWIRE_VERSION,
               event_get_version(), OpenSSL_version(OPENSSL_VERSION_STRING), JANSSON_VERSION, bw_store_engine_version());
        print_crash_points();
        puts("}");
    } else
        printf("bellwire %s (libevent %s, OpenSSL %s, jansson %s, SQLite %s)\n", BELLWIRE_VERSION, event_get_version(),
               OpenSSL_version(OPENSSL_VERSION_STRING), JANSSON_VERSION, bw_store_engine_version());
    return 0;
}

const struct bw_command bw_command_version = {
    .name = "version",
    .summary = "print the version of Bellwire and of the libraries it runs with",
    .usage = "usage: bellwire version [--json]\n\nPrints the version of Bellwire and of the libraries it runs with: put it into bug reports.\n",
    .run = version_main,
};
