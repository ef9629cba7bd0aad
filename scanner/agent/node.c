#include "scanner/agent/node.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "common/message_id.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define FILE_LIMIT 16384

static bool is_empty_part(CURLU *parts, CURLUPart part, const char *allowed)
{
    char *text = NULL;
    bool empty = curl_url_get(parts, part, &text, 0) != CURLUE_OK || strcmp(text, allowed) == 0;
    curl_free(text);
    return empty;
}

bool node_check_url(const char *url, struct error *error)
{
    CURLU *parts = curl_url();
    char *scheme = NULL;
    bool ok = parts && strlen(url) < sizeof(((struct node *)0)->url) &&
              curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              strcmp(scheme, "https") == 0 && is_empty_part(parts, CURLUPART_PATH, "/") &&
              is_empty_part(parts, CURLUPART_USER, "") &&
              is_empty_part(parts, CURLUPART_QUERY, "") &&
              is_empty_part(parts, CURLUPART_FRAGMENT, "");
    curl_free(scheme);
    curl_url_cleanup(parts);
    return ok || error_set(error, ERROR_INVALID, "url",
                           "must look like https://control.example.com:8444");
}

static bool read_members(const json_t *value, struct node *node, struct error *error)
{
    const char *id, *url, *host_name;
    struct message_id parsed;
    if (!json_get_text(value, NULL, "scanner_id", 36, &id, error) ||
        !json_get_text(value, NULL, "url", sizeof(node->url) - 1, &url, error) ||
        !json_get_text(value, NULL, "host_name", sizeof(node->host_name) - 1, &host_name, error))
        return false;
    if (!message_id_parse(id, &parsed))
        return error_set(error, ERROR_INVALID, "scanner_id", "must be a UUID");
    snprintf(node->scanner_id, sizeof(node->scanner_id), "%s", id);
    snprintf(node->url, sizeof(node->url), "%s", url);
    snprintf(node->host_name, sizeof(node->host_name), "%s", host_name);
    return node_check_url(url, error);
}

bool node_load(const char *state, struct node *node, struct error *error)
{
    char path[NODE_PATH_SIZE];
    size_t length;
    struct error inner = {0};
    char text[640];

    if (!file_join(path, sizeof(path), state, NODE_FILE, error))
        return false;
    cleanup_free char *content = file_read(path, FILE_LIMIT, &length, error);
    if (!content)
        return false;
    cleanup_json json_t *value = json_parse(content, length, path, &inner);
    if (value && read_members(value, node, &inner))
        return true;
    return error_set(error, ERROR_INVALID, path, "%s", error_text(&inner, text, sizeof(text)));
}

bool node_save(const char *path, const struct node *node, struct error *error)
{
    cleanup_json json_t *value = json_pack("{s:s,s:s,s:s}", "scanner_id", node->scanner_id, "url",
                                           node->url, "host_name", node->host_name);
    cleanup_free char *text = value ? json_text(value) : NULL;
    if (!text)
        return error_set(error, ERROR_INTERNAL, path, "out of memory");
    return file_write_atomic(path, text, strlen(text), 0644, error);
}
