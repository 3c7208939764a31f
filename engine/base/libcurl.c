#define CURL_DISABLE_TYPECHECK /* here the functions are defined, not called */
#include "base/libcurl.h"
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#define LIBRARY "libcurl.so.4" /* of libcurl 7.16 (2006) and later */

#if LIBCURL_VERSION_NUM < 0x080000
typedef CURLU read_url;
#else
typedef const CURLU read_url;
#endif

/* Each function of libcurl that we use: what it returns, its name, its parameters, what is handed on. A new one that is missing here is an error of
 * the linker. */
#define FUNCTIONS(F)                                                                                                              \
    F(CURLcode, curl_global_init, (long flags), (flags))                                                                          \
    F(CURL *, curl_easy_init, (void), ())                                                                                         \
    F(CURLcode, curl_easy_pause, (CURL * easy, int bitmask), (easy, bitmask))                                                     \
    F(CURLcode, curl_easy_perform, (CURL * easy), (easy))                                                                         \
    F(char *, curl_easy_escape, (CURL * easy, const char *text, int len), (easy, text, len))                                      \
    F(const char *, curl_easy_strerror, (CURLcode code), (code))                                                                  \
    F(struct curl_slist *, curl_slist_append, (struct curl_slist * list, const char *text), (list, text))                         \
    F(CURLM *, curl_multi_init, (void), ())                                                                                       \
    F(CURLMcode, curl_multi_add_handle, (CURLM * multi, CURL * easy), (multi, easy))                                              \
    F(CURLMcode, curl_multi_remove_handle, (CURLM * multi, CURL * easy), (multi, easy))                                           \
    F(CURLMsg *, curl_multi_info_read, (CURLM * multi, int *left), (multi, left))                                                 \
    F(CURLMcode, curl_multi_socket_action, (CURLM * multi, curl_socket_t fd, int what, int *running), (multi, fd, what, running)) \
    F(CURLMcode, curl_multi_cleanup, (CURLM * multi), (multi))                                                                    \
    F(CURLMcode, curl_multi_assign, (CURLM * multi, curl_socket_t fd, void *arg), (multi, fd, arg))                               \
    F(CURLU *, curl_url, (void), ())                                                                                              \
    F(CURLUcode, curl_url_set, (CURLU * url, CURLUPart part, const char *text, unsigned flags), (url, part, text, flags))         \
    F(CURLUcode, curl_url_get, (read_url * url, CURLUPart part, char **text, unsigned flags), (url, part, text, flags))
#define PROCEDURES(F)                                          \
    F(curl_easy_cleanup, (CURL * easy), (easy))                \
    F(curl_easy_reset, (CURL * easy), (easy))                  \
    F(curl_slist_free_all, (struct curl_slist * list), (list)) \
    F(curl_url_cleanup, (CURLU * url), (url))                  \
    F(curl_free, (void *memory), (memory))

static struct {
    bool is_loaded;
#define POINTER(type, name, parameters, arguments) type(*name) parameters;
#define PROCEDURE_POINTER(name, parameters, arguments) void(*name) parameters;
    FUNCTIONS(POINTER)
    PROCEDURES(PROCEDURE_POINTER)
    CURLcode (*curl_easy_setopt)(CURL *easy, CURLoption option, ...);
    CURLcode (*curl_easy_getinfo)(CURL *easy, CURLINFO info, ...);
    CURLMcode (*curl_multi_setopt)(CURLM *multi, CURLMoption option, ...);
} library;

static char fault[400];

static const char *fail(const char *before, const char *what)
{
    snprintf(fault, sizeof fault, "%s%s", before, what);
    return fault;
}

const char *bw_libcurl_load(void)
{
    if (library.is_loaded) return NULL;
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *reason = dlerror();
        return fail("requests need libcurl (apt-get install libcurl4): ", reason ? reason : LIBRARY " cannot be loaded");
    }
#define FIND(name) \
    if (!(*(void **)&library.name = dlsym(handle, #name))) return fail(LIBRARY " is too old, or another library: it has no function ", #name);
#define FIND_FUNCTION(type, name, parameters, arguments) FIND(name)
#define FIND_PROCEDURE(name, parameters, arguments) FIND(name)
    FUNCTIONS(FIND_FUNCTION)
    PROCEDURES(FIND_PROCEDURE)
    FIND(curl_easy_setopt)
    FIND(curl_easy_getinfo)
    FIND(curl_multi_setopt)
    if (library.curl_global_init(CURL_GLOBAL_DEFAULT)) return fail("libcurl cannot be initialised", "");
    library.is_loaded = true;
    return NULL;
}

#define FORWARD(type, name, parameters, arguments) \
    type name parameters                           \
    {                                              \
        return library.name arguments;             \
    }
#define FORWARD_PROCEDURE(name, parameters, arguments) \
    void name parameters                               \
    {                                                  \
        library.name arguments;                        \
    }
FUNCTIONS(FORWARD)
PROCEDURES(FORWARD_PROCEDURE)

/* The number of an option says of what type its value is: a long, a pointer to something, or a curl_off_t. */
#define FORWARD_OPTION(type, name, handle_type, option_type)                 \
    type name(handle_type *handle, option_type option, ...)                  \
    {                                                                        \
        int number = (int)option;                                            \
        va_list values;                                                      \
        type code;                                                           \
        va_start(values, option);                                            \
        if (number >= CURLOPTTYPE_OFF_T && number < CURLOPTTYPE_BLOB)        \
            code = library.name(handle, option, va_arg(values, curl_off_t)); \
        else if (number < CURLOPTTYPE_OBJECTPOINT)                           \
            code = library.name(handle, option, va_arg(values, long));       \
        else                                                                 \
            code = library.name(handle, option, va_arg(values, void *));     \
        va_end(values);                                                      \
        return code;                                                         \
    }
FORWARD_OPTION(CURLcode, curl_easy_setopt, CURL, CURLoption)
FORWARD_OPTION(CURLMcode, curl_multi_setopt, CURLM, CURLMoption)

CURLcode curl_easy_getinfo(CURL *easy, CURLINFO info, ...)
{
    va_list values;
    va_start(values, info);
    CURLcode code = library.curl_easy_getinfo(easy, info, va_arg(values, void *)); /* always where to put it */
    va_end(values);
    return code;
}
