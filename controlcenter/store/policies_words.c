/* The words of dictionaries, which stand apart from the documents that have them. */
#include "controlcenter/store/policies_internal.h"

#include "common/cleanup.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define HASH_SIZE (crypto_hash_sha256_BYTES * 2 + 1)

static const char insert_words[] =
    "INSERT INTO policy_words (hash, count, body) VALUES ($1, $2, $3)"
    " ON CONFLICT (hash) DO NOTHING";
static const char select_count[] = "SELECT count FROM policy_words WHERE hash = $1";
static const char select_words[] = "SELECT body FROM policy_words WHERE hash = $1";
static const char delete_unused[] =
    "DELETE FROM policy_words w"
    " WHERE NOT EXISTS (SELECT 1 FROM policy_draft d WHERE w.hash = ANY (d.words))"
    " AND NOT EXISTS (SELECT 1 FROM policy_version v WHERE w.hash = ANY (v.words))";

static void hash_text(const char *text, char hash[HASH_SIZE])
{
    unsigned char bytes[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(bytes, (const unsigned char *)text, strlen(text));
    sodium_bin2hex(hash, HASH_SIZE, bytes, sizeof(bytes));
}

/* --- as text --- */

/* Neither quotes nor what stands for itself only with a backslash. */
static bool is_plain(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == '"' || *text == '\\')
            return false;
    return true;
}

static bool add_any(struct buffer *buffer, const json_t *value, struct error *error)
{
    cleanup_free char *text = store_json_text(value, error);
    return text && (buffer_add_text(buffer, text) || store_out_of_memory(error));
}

static bool add_word(struct buffer *buffer, const json_t *word, struct error *error)
{
    const char *text = json_string_value(json_object_get(word, "text"));
    const json_t *weight = json_object_get(word, "weight");
    if (!text || !is_plain(text) || (weight && !json_is_integer(weight)) ||
        json_object_size(word) != (weight ? 2u : 1u))
        return add_any(buffer, word, error);
    bool added = buffer_add(buffer, "{\"text\":\"", 9) && buffer_add_text(buffer, text);
    added = added && (weight ? buffer_add_format(buffer, "\",\"weight\":%lld}",
                                                 (long long)json_integer_value(weight))
                             : buffer_add(buffer, "\"}", 2));
    return added || store_out_of_memory(error);
}

/* What json_dumps makes of it, in a tenth of the time. Caller frees. */
static char *words_text(const json_t *words, struct error *error)
{
    size_t index;
    const json_t *word;
    bool ok = true;
    struct buffer buffer = BUFFER_INIT;
    buffer_add_text(&buffer, "[");
    json_array_foreach((json_t *)words, index, word)
    {
        ok = ok && (index == 0 || buffer_add(&buffer, ",", 1)) && add_word(&buffer, word, error);
    }
    buffer_add_text(&buffer, "]");
    char *text = ok ? buffer_take(&buffer) : NULL;
    if (ok && !text)
        store_out_of_memory(error);
    buffer_free(&buffer);
    return text;
}

/* --- putting away --- */

/* *count is -1 where there are no such words. */
static bool find_words(PGconn *connection, const char *hash, int64_t *count, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, hash);
    PGresult *result = store_query(connection, select_count, &parameters, error);
    if (result)
        *count = PQntuples(result) == 1 ? store_integer(result, 0, 0) : -1;
    PQclear(result);
    return result != NULL;
}

/* A text that is there already is not sent to the database again. */
static bool store_words(PGconn *connection, const json_t *words, char hash[HASH_SIZE],
                        struct policy_document *document, struct error *error)
{
    struct store_parameters parameters = {0};
    int64_t count;
    cleanup_free char *text = words_text(words, error);
    if (!text)
        return false;
    hash_text(text, hash);
    document->size += strlen(text);
    if (!find_words(connection, hash, &count, error))
        return false;
    if (count >= 0)
        return true;
    store_add_text(&parameters, hash);
    store_add_integer(&parameters, (int64_t)json_array_size(words));
    store_add_text(&parameters, text);
    return store_run(connection, insert_words, &parameters, error);
}

/* Words that the caller never had: what stands for them must be ours. */
static bool keep_words(PGconn *connection, const json_t *words, char hash[HASH_SIZE],
                       int64_t *count, struct error *error)
{
    const char *text = json_string_value(json_object_get(words, "hash"));
    if (text && !find_words(connection, text, count, error))
        return false;
    if (!text || *count < 0 || strlen(text) >= HASH_SIZE)
        return error_set(error, ERROR_INVALID, "policies.dictionaries",
                         "the words of a dictionary are not there");
    memcpy(hash, text, strlen(text) + 1);
    return true;
}

/* The dictionary with what stands for its words in their place. NULL with *error. */
static json_t *without_words(PGconn *connection, json_t *dictionary,
                             struct policy_document *document, struct error *error)
{
    char hash[HASH_SIZE];
    json_t *words = json_object_get(dictionary, "words");
    int64_t count = (int64_t)json_array_size(words);
    if (!json_is_array(words) && !json_is_object(words))
        return json_incref(dictionary);
    if (json_is_array(words) ? !store_words(connection, words, hash, document, error)
                             : !keep_words(connection, words, hash, &count, error))
        return NULL;
    json_t *copy = json_copy(dictionary);
    if (copy &&
        json_object_set_new(
            copy, "words", json_pack("{s:s,s:I}", "hash", hash, "count", (json_int_t)count)) == 0 &&
        buffer_add_format(&document->hashes, "%s%s", document->hashes.length > 1 ? "," : "", hash))
        return copy;
    json_decref(copy);
    store_out_of_memory(error);
    return NULL;
}

static json_t *put_words_away(PGconn *connection, const json_t *whole,
                              struct policy_document *document, struct error *error)
{
    size_t index;
    json_t *dictionary;
    cleanup_json json_t *copy = json_copy((json_t *)whole);
    cleanup_json json_t *dictionaries = json_array();
    json_array_foreach(json_object_get(whole, "dictionaries"), index, dictionary)
    {
        json_t *light = without_words(connection, dictionary, document, error);
        if (!light)
            return NULL;
        json_array_append_new(dictionaries, light);
    }
    if (copy && (index == 0 || json_object_set(copy, "dictionaries", dictionaries) == 0))
        return json_incref(copy);
    store_out_of_memory(error);
    return NULL;
}

bool policy_document_make(PGconn *connection, const json_t *whole, struct policy_document *document,
                          struct error *error)
{
    *document = (struct policy_document){0};
    buffer_add_text(&document->hashes, "{");
    cleanup_json json_t *light = put_words_away(connection, whole, document, error);
    document->text = light ? store_json_text(light, error) : NULL;
    if (document->text && !buffer_add_text(&document->hashes, "}"))
        return store_out_of_memory(error);
    if (!document->text)
        return false;
    document->size += strlen(document->text);
    return document->size <= POLICY_DOCUMENT_LIMIT ||
           error_set(error, ERROR_LIMIT, "policies", "are larger than %u MiB together",
                     POLICY_DOCUMENT_LIMIT >> 20);
}

void policy_document_clear(struct policy_document *document)
{
    free(document->text);
    buffer_free(&document->hashes);
}

bool policy_words_forget(PGconn *connection, struct error *error)
{
    return store_run(connection, delete_unused, NULL, error);
}

/* --- putting back --- */

static json_t *read_words(PGconn *connection, const char *hash, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, hash);
    PGresult *result = store_query(connection, select_words, &parameters, error);
    json_t *words = NULL;
    if (result && PQntuples(result) == 0) {
        error_set(error, ERROR_INTERNAL, "database", "the words of a dictionary are missing");
    } else if (result) {
        words = store_json(result, 0, 0);
        if (!words)
            store_out_of_memory(error);
    }
    PQclear(result);
    return words;
}

bool policy_words_put_back(PGconn *connection, json_t *document, struct error *error)
{
    size_t index;
    json_t *dictionary;
    json_array_foreach(json_object_get(document, "dictionaries"), index, dictionary)
    {
        const char *hash =
            json_string_value(json_object_get(json_object_get(dictionary, "words"), "hash"));
        if (!hash)
            continue;
        json_t *words = read_words(connection, hash, error);
        if (!words)
            return false;
        if (json_object_set_new(dictionary, "words", words) != 0)
            return store_out_of_memory(error);
    }
    return true;
}
