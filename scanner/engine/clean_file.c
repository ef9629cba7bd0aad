#include "scanner/engine/clean_file.h"

#include "common/buffer.h"
#include "common/file.h"
#include "scanner/engine/clean.h"
#include "scanner/engine/suspicious.h"

#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_SIZE 1024

struct marks {
    const struct clean_order *order;
    const char **threats; /* for each node, interned or NULL */
    bool *covered;        /* something below it is marked */
};

static bool is_wanted(const struct clean_order *order, enum config_verdict verdict)
{
    return (order->verdicts & 1u << verdict) != 0;
}

/* The first find that is to be removed; interned, NULL where there is none. */
static const char *wanted_find(const struct clean_order *order, const struct malware_result *result)
{
    for (size_t i = 0; i < result->find_count; i++)
        if (is_wanted(order, result->finds[i].verdict))
            return g_intern_string(result->finds[i].name);
    return NULL;
}

static const char *threat_of(const struct clean_order *order, size_t index)
{
    const struct tree_node *node = &order->tree->nodes[index];
    struct malware_result result = {0};
    if (!node->data || node->length == 0)
        return NULL;
    order->scan(order->argument, node->data, node->length, &result);
    suspicious_look_at(order->tree, index, &result);
    return wanted_find(order, &result);
}

/* Members before their containers: a container is only looked at where none of its members carries
 * the find. */
static void mark(struct marks *marks)
{
    const struct tree *tree = marks->order->tree;
    for (size_t i = tree->count; i-- > 0;) {
        if (!marks->covered[i])
            marks->threats[i] = threat_of(marks->order, i);
        if (i > 0 && (marks->threats[i] || marks->covered[i]))
            marks->covered[tree->nodes[i].parent] = true;
    }
}

static bool build(const struct clean_order *order, struct buffer *out, struct error *error)
{
    struct marks marks = {.order = order};
    marks.threats = calloc(order->tree->count, sizeof(*marks.threats));
    marks.covered = calloc(order->tree->count, sizeof(*marks.covered));
    bool built = marks.threats && marks.covered;
    if (built) {
        mark(&marks);
        struct clean clean = {order->tree, marks.threats};
        built = clean_message(&clean, out, error);
    } else {
        error_set(error, ERROR_INTERNAL, "clean", "out of memory");
    }
    free(marks.threats);
    free(marks.covered);
    return built;
}

static bool is_clean(const struct clean_order *order, const struct buffer *out, struct error *error)
{
    struct malware_result result = {0};
    order->scan(order->argument, out->data, out->length, &result);
    const char *left = wanted_find(order, &result);
    if (!left && !*result.reason)
        return true;
    return error_set(error, ERROR_INVALID, "clean", "what was written still has %s",
                     left ? left : result.reason);
}

int clean_file_store(const struct buffer *out, struct error *error)
{
    char path[PATH_SIZE];
    const char *folder = getenv("TMPDIR");
    g_snprintf(path, sizeof(path), "%s/cleaned", folder ? folder : "/tmp");
    unlink(path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        error_set_errno(error, "cleaned", "cannot be made");
        return -1;
    }
    unlink(path);
    if (file_write_all(fd, out->data, out->length, error))
        return fd;
    close(fd);
    return -1;
}

int clean_file_write(const struct clean_order *order, uint64_t *size, struct error *error)
{
    struct buffer out = BUFFER_INIT;
    int fd = -1;
    if (build(order, &out, error) && is_clean(order, &out, error))
        fd = clean_file_store(&out, error);
    *size = out.length;
    buffer_free(&out);
    return fd;
}
