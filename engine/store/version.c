#include "store/version.h"
#include <sqlite3.h>

const char *bw_store_engine_version(void)
{
    return sqlite3_libversion();
}
