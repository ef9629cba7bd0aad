/* Protocols, bounce protection: tags by which bounces of the organisation's own mail are known.
 * The keys never leave but for the scanners. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"

#include "common/cleanup.h"
#include "common/config_model.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SETTING "bounce_protection"
#define PATH "/bounce-protection"
#define SECRET_BYTES 32
#define SECRET_BASE64_SIZE sodium_base64_ENCODED_LEN(SECRET_BYTES, sodium_base64_VARIANT_ORIGINAL)

static const char *const modes[] = {"off", "tag", "enforce"};

static json_t *open_protection(struct page *page, struct form *form, struct http_request *request,
                               struct http_response *response)
{
    struct error error = {0};
    page_open(page, request, response, "bounce_protection");
    form_open(form, page);
    json_t *protection = page_read_setting(page, SETTING, &error);
    if (!protection)
        page_fail(page, &error);
    return protection;
}

/* --- keys --- */

static json_t *keys_of(struct page *page, json_t *protection)
{
    json_t *keys = json_object_get(protection, "keys");
    return json_is_array(keys) ? keys : page_put_array(page, protection, "keys");
}

static int number_of(const json_t *key)
{
    return (int)json_integer_value(json_object_get(key, "number"));
}

static bool is_taken(const json_t *keys, int number)
{
    size_t index;
    json_t *key;
    json_array_foreach((json_t *)keys, index, key)
    {
        if (number_of(key) == number)
            return true;
    }
    return false;
}

/* The number that follows the newest key's, so that one is not soon used for another key again. */
static int free_number(const json_t *keys)
{
    int number = json_array_size(keys) ? number_of(json_array_get(keys, 0)) : -1;
    do
        number = (number + 1) % CONFIG_BOUNCE_KEYS;
    while (is_taken(keys, number));
    return number;
}

/* The first key signs; the others go on verifying. There must be room for it. */
static void add_key(struct page *page, json_t *keys)
{
    unsigned char secret[SECRET_BYTES];
    char text[SECRET_BASE64_SIZE];
    randombytes_buf(secret, sizeof secret);
    sodium_bin2base64(text, sizeof text, secret, sizeof secret, sodium_base64_VARIANT_ORIGINAL);
    if (json_array_insert_new(keys, 0,
                              json_pack("{s:i,s:s}", "number", free_number(keys), "secret", text)))
        page->failed = true;
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(text, sizeof text);
}

/* --- showing --- */

static void show(struct form *form, json_t *protection)
{
    struct page *page = form->page;
    const json_t *keys = keys_of(page, protection);
    json_t *rows = page_put_array(page, page->data, "keys"), *key;
    const char *mode = json_string_value(json_object_get(form->values, "mode"));
    size_t index;
    json_array_foreach((json_t *)keys, index, key)
    {
        json_t *row = page_add_object(page, rows);
        page_put_number(page, row, "number", number_of(key));
        page_put(page, row, "signs", json_boolean(index == 0));
    }
    page_put(page, page->data, "has_keys", json_boolean(json_array_size(keys) > 0));
    page_put(page, page->data, "is_full",
             json_boolean(json_array_size(keys) >= CONFIG_BOUNCE_KEYS));
    page_put_true(page, page_put_object(page, page->data, "chosen"), mode && *mode ? mode : "off");
    page_show(page, "protocols/bounce_protection");
}

static void fill(struct form *form, const json_t *protection)
{
    const char *mode = json_string_value(json_object_get(protection, "mode"));
    const json_t *days = json_object_get(protection, "days");
    struct buffer text = BUFFER_INIT;
    if (json_is_integer(days))
        buffer_add_format(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(days));
    form_set(form, "mode", mode ? mode : "off");
    form_set(form, "days", buffer_text(&text));
    buffer_free(&text);
}

static void save_or_show(struct form *form, json_t *protection, const char *done)
{
    struct page *page = form->page;
    struct error error = {0};
    if (!form->wrong && !page->failed && page_save_setting(page, SETTING, protection, &error)) {
        page_redirect(page, PATH, done);
        return;
    }
    if (error.code == ERROR_INVALID)
        form_refuse_reason(form, strstr(error.where, "days") ? "days" : "mode", 0, error.message);
    if (form->wrong || page->failed) {
        page->response->status = 422;
        show(form, protection);
    } else {
        page_fail(page, &error);
    }
}

/* --- handlers --- */

void page_bounce_protection_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    cleanup_json json_t *protection = open_protection(&page, &form, request, response);
    if (!protection)
        return;
    fill(&form, protection);
    show(&form, protection);
}

static bool is_mode(const char *text)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(text, modes[i]) == 0)
            return true;
    return false;
}

static void read_form(struct form *form, json_t *protection)
{
    const char *mode = form_take(form, "mode"), *days = form_take(form, "days");
    size_t length = strlen(days);
    if (!is_mode(mode))
        form_refuse(form, "mode", "choose_listed", NULL);
    else
        page_put(form->page, protection, "mode", json_string(mode));
    if (length == 0)
        json_object_del(protection, "days");
    else if (length > 4 || strspn(days, "0123456789") != length)
        form_refuse(form, "days", "number", NULL);
    else
        page_put(form->page, protection, "days", json_integer(atoi(days)));
}

void page_bounce_protection(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    cleanup_json json_t *protection = open_protection(&page, &form, request, response);
    if (!protection)
        return;
    read_form(&form, protection);
    json_t *keys = keys_of(&page, protection);
    const char *mode = json_string_value(json_object_get(protection, "mode"));
    if (mode && strcmp(mode, "off") != 0 && json_array_size(keys) == 0)
        add_key(&page, keys);
    save_or_show(&form, protection, "saved");
}

void page_bounce_key_new(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    cleanup_json json_t *protection = open_protection(&page, &form, request, response);
    if (!protection)
        return;
    fill(&form, protection);
    json_t *keys = keys_of(&page, protection);
    if (json_array_size(keys) >= CONFIG_BOUNCE_KEYS)
        form_refuse(&form, "keys", "keys_full", json_pack("{s:i}", "most", CONFIG_BOUNCE_KEYS));
    else
        add_key(&page, keys);
    save_or_show(&form, protection, "saved");
}

/* The one that signs can only go when another takes its place. */
void page_bounce_key_remove(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    cleanup_json json_t *protection = open_protection(&page, &form, request, response);
    if (!protection)
        return;
    fill(&form, protection);
    json_t *keys = keys_of(&page, protection), *key;
    size_t index, found = json_array_size(keys);
    json_array_foreach(keys, index, key)
    {
        if (request->captures[0][0] == '0' + number_of(key) && !request->captures[0][1])
            found = index;
    }
    if (found == 0)
        form_refuse(&form, "keys", "key_signs", NULL);
    else
        json_array_remove(keys, found); /* nothing where it is gone already */
    save_or_show(&form, protection, "removed");
}
