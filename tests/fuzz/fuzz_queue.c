/* libFuzzer: what may stand in a queue's folder after a disk has gone bad. The first byte chooses:
 * records are read and applied alone, quickly; or a segment of such records is opened as a queue
 * does it, whole or with any bytes. Whatever is there, the queue opens or says why not, counts what
 * it has, reads bodies and events back within their bounds, and opens a second time to the same. */
#include "common/log.h"
#include "scanner/mta/crc32c.h"
#include "scanner/mta/queue_log_format.h"
#include "scanner/mta/queue_private.h"
#include "scanner/mta/queue_record.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *count, char ***arguments);

#define SEGMENT_BYTES 65536u
#define KEY 0x0123456789abcdefull

static char folder[64];
static struct event_base *base;
static struct message_id stream;

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* --- records alone --- */

static void apply_all(struct queue_message *message, const uint8_t *data, size_t size)
{
    while (size > 1) {
        size_t length = data[0] < size - 1 ? data[0] : size - 1;
        queue_record_apply(message, (const char *)data + 1, length);
        check(message->open_recipients <= message->recipient_count);
        data += 1 + length;
        size -= 1 + length;
    }
}

/* What was understood is written, and read again, to the same bytes. */
static void check_round_trip(const struct queue_message *message)
{
    struct buffer once = BUFFER_INIT, twice = BUFFER_INIT;
    queue_record_put_message(&once, message);
    struct queue_message *again = queue_record_get_message(once.data, once.length);
    check(again != NULL);
    queue_record_put_message(&twice, again);
    check(once.length == twice.length && memcmp(once.data, twice.data, once.length) == 0);
    queue_message_free(again);
    buffer_free(&once);
    buffer_free(&twice);
}

static void read_record(const uint8_t *data, size_t size)
{
    if (size < 2)
        return;
    size_t length = (size_t)data[0] | (size_t)data[1] << 8;
    if (length > size - 2)
        length = size - 2;
    struct queue_message *message = queue_record_get_message((const char *)data + 2, length);
    if (!message)
        return;
    apply_all(message, data + 2 + length, size - 2 - length);
    check_round_trip(message);
    queue_message_free(message);
}

/* --- a segment --- */

static void begin_segment(uint8_t *segment)
{
    struct log_segment_header header = {
        .magic = LOG_SEGMENT_MAGIC, .id = 1, .first_seq = 1, .size = SEGMENT_BYTES, .key = KEY};
    memcpy(header.stream, stream.bytes, sizeof header.stream);
    header.crc = crc32c(0, &header, offsetof(struct log_segment_header, crc));
    memcpy(segment, &header, sizeof header);
}

/* Seven bytes of the input say what the next record is; its checksums are right. Returns where the
 * one behind it goes; 0 where there is no room. */
static size_t add_record(uint8_t *segment, size_t at, const uint8_t **data, size_t *size,
                         uint64_t *seq)
{
    const uint8_t *head = *data;
    size_t meta = (size_t)head[2] | (size_t)(head[3] & 3) << 8, events = head[4], body = head[5];
    struct log_record_header header = {.magic = LOG_RECORD_MAGIC,
                                       .type = head[0],
                                       .flags = head[1] & 1,
                                       .event_count = head[6] & 3,
                                       .meta_length = (uint32_t)meta,
                                       .events_length = (uint32_t)events,
                                       .body_length = body,
                                       .synced = (uint32_t)at,
                                       .seq = *seq,
                                       .key = KEY};
    memset(header.id, head[6] >> 4, sizeof header.id);
    *data += 7;
    *size -= 7;
    if (meta + events + body > *size)
        return 0;
    size_t end = log_align(at + sizeof header + meta + events + body);
    if (end > SEGMENT_BYTES)
        return 0;
    memcpy(segment + at + sizeof header, *data, meta + events + body);
    header.body_crc = crc32c(0, *data + meta + events, body);
    uint32_t crc = crc32c(0, (const char *)&header + 8, sizeof header - 8);
    header.crc = crc32c(crc, *data, meta + events);
    memcpy(segment + at, &header, sizeof header);
    *data += meta + events + body;
    *size -= meta + events + body;
    *seq += header.event_count;
    return end;
}

static void make_segment(uint8_t *segment, const uint8_t *data, size_t size)
{
    size_t at = sizeof(struct log_segment_header);
    uint64_t seq = 1;
    begin_segment(segment);
    while (size > 7 && (at = add_record(segment, at, &data, &size, &seq)) != 0)
        ;
}

static void write_file(const char *name, const void *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static void clear(const char *path)
{
    DIR *entries = opendir(path);
    check(entries != NULL);
    for (struct dirent *entry; (entry = readdir(entries));)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(entries), entry->d_name, 0); /* but for the folder of large bodies */
    closedir(entries);
}

static void remove_folder(void)
{
    char large[128];
    snprintf(large, sizeof large, "%s/large", folder);
    clear(folder);
    rmdir(large);
    rmdir(folder);
}

/* --- the queue on it --- */

static void on_due(void *argument, struct queue_message *message)
{
    (void)argument;
    (void)message;
}

struct reading {
    struct queue *queue;
    size_t count;
};

static bool read_message(void *argument, struct queue_message *message)
{
    struct reading *reading = argument;
    char part[512];
    uint64_t offset = 0;
    struct error error = {0};
    reading->count++;
    check(message->open_recipients > 0 && message->open_recipients <= message->recipient_count);
    for (long length; (length = queue_read_body(reading->queue, message, offset, part, sizeof part,
                                                &error)) > 0;)
        offset += (uint64_t)length;
    check(offset <= message->body_length);
    return true;
}

/* Returns how many messages are there, or SIZE_MAX where the queue does not open. */
static size_t open_and_read(void)
{
    struct queue_hooks hooks = {.due = on_due};
    struct error error = {0};
    struct buffer events = BUFFER_INIT;
    size_t count = 0;
    struct reading reading = {.queue =
                                  queue_open_sized(folder, base, &hooks, SEGMENT_BYTES, &error)};
    if (!reading.queue) {
        check(error.code != ERROR_NONE);
        return SIZE_MAX;
    }
    queue_each(reading.queue, read_message, &reading);
    struct queue_counts counts = queue_count(reading.queue);
    check(counts.inbound + counts.outbound + counts.delivery == reading.count);
    queue_log_events(queue_log_of(reading.queue), 0, 100, 1u << 20, &events, &count, &error);
    check(count <= 100);
    buffer_free(&events);
    queue_close(reading.queue);
    return reading.count;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    log_set_level(LOG_LEVEL_ERROR - 1);
    snprintf(folder, sizeof folder, "%s/gatehouse-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    check(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
    base = event_base_new();
    stream = message_id_new();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t segment[SEGMENT_BYTES];
    char text[MESSAGE_ID_TEXT_SIZE];
    if (size < 2 || size > SEGMENT_BYTES)
        return 0;
    if (data[0] % 4 != 0) { /* the quick way three times of four */
        read_record(data + 1, size - 1);
        return 0;
    }
    memset(segment, 0, sizeof segment);
    if (data[0] & 4)
        memcpy(segment, data + 1, size - 1);
    else
        make_segment(segment, data + 1, size - 1);
    write_file("stream", message_id_text(&stream, text), MESSAGE_ID_TEXT_SIZE - 1);
    write_file("log-0000000000000001", segment, data[0] & 8 ? size - 1 : sizeof segment);
    size_t messages = open_and_read();
    if (messages != SIZE_MAX)
        check(open_and_read() == messages);
    clear(folder);
    return 0;
}
