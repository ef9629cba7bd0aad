/* The values that templates take, made from what the store and the scanners say. */
#include "controlcenter/pages/pages.h"

#include "common/timestamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORD_SIZE 40

const char *const page_verdicts[] = {
    "clean",       "virus", "worm", "spyware", "suspicious_attachment", "encrypted_attachment",
    "unscannable", NULL};
const char *const page_states[] = {
    "to be scanned", "quarantined", "queued",  "delivered", "deferred", "failed", "bounced",
    "deleted",       "rejected",    "refused", "aborted",   "held",     "moved",  NULL};

void page_put(struct page *page, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        page->failed = true;
}

void page_put_true(struct page *page, json_t *object, const char *name)
{
    page_put(page, object, name, json_true());
}

void page_put_text(struct page *page, json_t *object, const char *name, const char *text)
{
    if (text && *text)
        page_put(page, object, name, json_string(text));
}

void page_copy_text(struct page *page, json_t *object, const json_t *from, const char *name)
{
    page_put_text(page, object, name, json_string_value(json_object_get(from, name)));
}

void page_put_count(struct page *page, json_t *object, const char *name, int64_t count)
{
    char digits[24], text[32];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%" PRIu64,
                                     count < 0 ? -(uint64_t)count : (uint64_t)count);
    size_t at = 0;
    if (count < 0)
        text[at++] = '-';
    for (size_t i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    page_put(page, object, name, json_string(text));
}

void page_put_number(struct page *page, json_t *object, const char *name, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, number);
    page_put_text(page, object, name, text);
}

void page_put_size(struct page *page, json_t *object, const char *name, int64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
    double size = (double)bytes;
    size_t unit = 0;
    char text[32];
    while (size >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        size /= 1024;
        unit++;
    }
    snprintf(text, sizeof text, unit == 0 || size >= 99.95 ? "%.0f %s" : "%.1f %s", size,
             units[unit]);
    page_put(page, object, name, json_string(text));
}

void page_put_time(struct page *page, json_t *object, const char *name, int64_t milliseconds)
{
    char iso[TIMESTAMP_TEXT_SIZE], text[20];
    if (milliseconds == 0)
        return;
    timestamp_text(milliseconds, iso);
    if (strlen(iso) < 20)
        return;
    memcpy(text, iso, 19);
    text[10] = ' ';
    text[19] = '\0';
    page_put(page, object, name, json_pack("{s:s,s:s}", "iso", iso, "text", text));
}

/* Names in tags have no spaces. */
static void flag_name(const char *word, char flag[WORD_SIZE])
{
    snprintf(flag, WORD_SIZE, "%s", word);
    for (char *at = flag; *at; at++)
        if (*at == ' ')
            *at = '_';
}

void page_put_word(struct page *page, json_t *object, const char *name, const char *word,
                   const char *const *known)
{
    char flag[WORD_SIZE] = "other";
    if (!word || !*word)
        return;
    for (size_t i = 0; known[i]; i++)
        if (strcmp(word, known[i]) == 0)
            flag_name(word, flag);
    page_put(page, object, name, json_pack("{s:s,s:b}", "text", word, flag, 1));
}

json_t *page_put_object(struct page *page, json_t *object, const char *name)
{
    page_put(page, object, name, json_object());
    return json_object_get(object, name);
}

json_t *page_put_array(struct page *page, json_t *object, const char *name)
{
    page_put(page, object, name, json_array());
    return json_object_get(object, name);
}

json_t *page_add_object(struct page *page, json_t *array)
{
    json_t *object = json_object();
    if (json_array_append_new(array, object) == 0)
        return object;
    page->failed = true;
    return NULL;
}
