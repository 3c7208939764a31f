#include "address.h"
#include <stdlib.h>
#include <string.h>

#define LOCAL_MAX 64 /* RFC 5321, 4.5.3.1 */
#define ADDRESS_MAX 254

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static bool is_dot_atom(const char *text, size_t len)
{
    if (!len || text[0] == '.' || text[len - 1] == '.') return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '.' && text[i + 1] == '.') return false;
        if (!text[i] || (!strchr(letters, text[i]) && !strchr("!#$%&'*+-/=?^_`{|}~.", text[i]))) return false;
    }
    return true;
}

static bool is_domain(const char *text)
{
    size_t len = 0;
    if (!*text) return false;
    for (; *text; text++) {
        if (*text == '.') {
            if (!len || text[-1] == '-' || !text[1]) return false;
            len = 0;
            continue;
        }
        if ((!strchr(letters, *text) && *text != '-') || (*text == '-' && !len) || ++len > 63) return false;
    }
    return text[-1] != '-';
}

static const char *fault_of(const char *address)
{
    const char *at = strrchr(address, '@');
    if (!mail_is_ascii(address)) return "addresses are ASCII: write the domain as xn--…; what stands before the @ cannot be anything else";
    if (!at) return "an address is like name@example.com";
    if ((size_t)(at - address) > LOCAL_MAX || strlen(address) > ADDRESS_MAX) return "it is longer than an address may be";
    if (!is_dot_atom(address, (size_t)(at - address))) return "what stands before the @ is no plain name";
    return is_domain(at + 1) ? NULL : "what stands behind the @ is no domain";
}

static char *trimmed(const char *from, size_t len)
{
    while (len && (*from == ' ' || *from == '\t')) from++, len--;
    while (len && (from[len - 1] == ' ' || from[len - 1] == '\t')) len--;
    if (len >= 2 && from[0] == '"' && from[len - 1] == '"') { /* as people write it; quotes inside stay */
        from++;
        len -= 2;
    }
    return strndup(from, len);
}

bool mail_address_read(struct mail_address *address, const char *text, size_t len, const char **why)
{
    const char *open = memrchr(text, '<', len);
    bool is_named = open && len && text[len - 1] == '>';
    *address = (struct mail_address){0};
    *why = "it holds a line break or another control character";
    if (mail_has_control(text, len)) return false;
    *why = "out of memory";
    if (is_named && open > text && !(address->name = trimmed(text, (size_t)(open - text)))) return false;
    address->address = is_named ? strndup(open + 1, len - (size_t)(open + 1 - text) - 1) : trimmed(text, len);
    if (!address->address) return false;
    if (address->name && !*address->name) {
        free(address->name);
        address->name = NULL;
    }
    *why = fault_of(address->address);
    return !*why;
}

void mail_address_free(struct mail_address *address)
{
    free(address->name);
    free(address->address);
    *address = (struct mail_address){0};
}
