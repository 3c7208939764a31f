/* version.h: which engine the store runs on, for `bellwire version` and bug reports. */
#ifndef BW_STORE_VERSION_H
#define BW_STORE_VERSION_H
const char *bw_store_engine_version(void);
#endif
