/* What the queue does in a second, and what a full one costs: accepted messages with 1, 10 and 100
 * that wait at a time beside the disk's own speed; then start-up time and memory with a million
 * queued messages, what administrators do to them, and the start-up after that. Prints one figure a line and ends with 1 where a bound is missed.
 *
 * usage: queue-bench [FOLDER [QUEUED]]     (FOLDER: on the disk to be measured)
 *        queue-bench --hold FOLDER QUEUED  (only fills the queue in FOLDER, with held messages) */
#include "queue_bench_operations.h"

#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/queue.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BODY_BYTES 4096
#define HELD_BODY_BYTES 256
#define ACCEPT_SECONDS 4
#define START_LIMIT_MS (60 * 1000)
#define MEMORY_LIMIT 1024 /* bytes a queued message */

struct bench {
    struct queue *queue;
    struct event_base *base;
    long started, answered, limit;
    int64_t until; /* microseconds; no further message is begun then */
    bool hold;
    uint32_t *latencies;
};

struct slot {
    struct bench *bench;
    int64_t begun;
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static void on_due(void *argument, struct queue_message *message)
{
    (void)argument;
    (void)message;
}

static void open_queue(struct bench *bench, const char *folder)
{
    struct error error;
    struct queue_hooks hooks = {on_due, bench};
    bench->base = event_base_new();
    bench->queue = queue_open(folder, bench->base, &hooks, &error);
    if (!bench->queue) {
        fprintf(stderr, "%s: %s\n", error.where, error.message);
        exit(2);
    }
}

static void close_queue(struct bench *bench)
{
    queue_close(bench->queue);
    event_base_free(bench->base);
}

static void on_accepted(void *argument, enum error_code result);

static void begin(struct slot *slot)
{
    struct bench *bench = slot->bench;
    if (bench->started >= bench->limit || (bench->until && now_us() >= bench->until)) {
        free(slot);
        return;
    }
    bench->started++;
    slot->begun = now_us();
    struct message_id id = message_id_new();
    char text[MESSAGE_ID_TEXT_SIZE], body[BODY_BYTES];
    struct queue_draft_recipient recipient = {.address = "somebody.with.a.name@example.org"};
    struct queue_draft draft = {
        .id = id,
        .state = QUEUE_TO_BE_DELIVERED,
        .flags = bench->hold ? QUEUE_FLAG_HELD : 0,
        .received_at = timestamp_now_ms(),
        .sender = "another.person@sender.example.net",
        .extra_header = "Authentication-Results: mail.example.org; spf=none\r\n",
        .recipients = &recipient,
        .recipient_count = 1,
        .large_fd = -1,
    };
    memset(body, 'x', sizeof body);
    buffer_add(&draft.body, body, bench->hold ? HELD_BODY_BYTES : BODY_BYTES);
    buffer_add_format(&draft.events,
                      "{\"at\":\"2026-01-31T12:00:00.123Z\",\"type\":\"received\",\"id\":\"%s\","
                      "\"direction\":\"inbound\",\"peer_ip\":\"192.0.2.1\",\"peer_port\":25,"
                      "\"helo\":\"mail.example.net\",\"sender\":\"%s\",\"recipients\":[\"%s\"],"
                      "\"size\":4096}\n",
                      message_id_text(&id, text), draft.sender, recipient.address);
    queue_accept(bench->queue, &draft, on_accepted, slot);
}

static void on_accepted(void *argument, enum error_code result)
{
    struct slot *slot = argument;
    struct bench *bench = slot->bench;
    if (result != ERROR_NONE) {
        fprintf(stderr, "a message was refused\n");
        exit(2);
    }
    if (bench->latencies)
        bench->latencies[bench->answered] = (uint32_t)(now_us() - slot->begun);
    bench->answered++;
    begin(slot);
}

static void accept_with(struct bench *bench, int waiting)
{
    for (int i = 0; i < waiting; i++) {
        struct slot *slot = malloc(sizeof *slot);
        if (!slot)
            die("malloc");
        slot->bench = bench;
        begin(slot);
    }
    while (bench->answered < bench->started)
        event_base_loop(bench->base, EVLOOP_ONCE);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void measure_accepts(const char *folder, int waiting)
{
    struct bench bench = {.limit = 4000000};
    bench.latencies = malloc((size_t)bench.limit * sizeof *bench.latencies);
    if (!bench.latencies)
        die("malloc");
    open_queue(&bench, folder);
    int64_t begun = now_us();
    bench.until = begun + ACCEPT_SECONDS * 1000000;
    accept_with(&bench, waiting);
    double seconds = (double)(now_us() - begun) / 1e6;
    size_t count = (size_t)bench.answered;
    qsort(bench.latencies, count, sizeof *bench.latencies, compare);
    printf("accept, %3d waiting: %8.0f messages/s, median %5.2f ms, 99%% %5.2f ms\n", waiting,
           (double)count / seconds, bench.latencies[count / 2] / 1e3,
           bench.latencies[count * 99 / 100] / 1e3);
    close_queue(&bench);
    free(bench.latencies);
}

/* One write of a message's size and one fdatasync at a time, into space allocated before. */
static void measure_disk(const char *folder)
{
    char path[4096], block[BODY_BYTES + 512] = {0};
    snprintf(path, sizeof path, "%s/disk", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, 256 << 20) != 0 || fsync(fd) != 0)
        die(path);
    long count = 0;
    int64_t begun = now_us();
    while (now_us() < begun + ACCEPT_SECONDS * 1000000 && count < 50000) {
        if (pwrite(fd, block, sizeof block, count * (off_t)sizeof block) < 0 || fdatasync(fd) != 0)
            die(path);
        count++;
    }
    double each = (double)(now_us() - begun) / (double)count;
    printf("disk alone:          %8.0f fdatasync/s, mean   %5.2f ms\n", 1e6 / each, each / 1e3);
    close(fd);
    unlink(path);
}

static long resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        die("/proc/self/statm");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* So that the start reads from the disk and not from memory. */
static void drop_cache(const char *folder)
{
    DIR *entries = opendir(folder);
    if (!entries)
        die(folder);
    for (struct dirent *entry; (entry = readdir(entries));) {
        int fd = openat(dirfd(entries), entry->d_name, O_RDONLY);
        if (fd >= 0) {
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
            close(fd);
        }
    }
    closedir(entries);
}

static int measure_start(const char *folder, long queued)
{
    struct bench bench = {0};
    long before = resident_bytes();
    int64_t begun = now_us();
    open_queue(&bench, folder);
    double seconds = (double)(now_us() - begun) / 1e6;
    double each = (double)(resident_bytes() - before) / (double)queued;
    if (queue_count(bench.queue).delivery != (uint64_t)queued) {
        fprintf(stderr, "messages are missing\n");
        return 2;
    }
    printf("start with %ld queued: %.1f s (at most %d), %.0f bytes of memory a message "
           "(at most %d)\n",
           queued, seconds, START_LIMIT_MS / 1000, each, MEMORY_LIMIT);
    close_queue(&bench);
    return seconds * 1000 > START_LIMIT_MS || each > MEMORY_LIMIT;
}

static int fill_queue(const char *folder, long queued, bool hold)
{
    struct bench bench = {.limit = queued, .hold = hold};
    open_queue(&bench, folder);
    int64_t begun = now_us();
    accept_with(&bench, 1000);
    double seconds = (double)(now_us() - begun) / 1e6;
    printf("accept, 1000 waiting: %7.0f messages/s over %ld messages\n", (double)queued / seconds,
           queued);
    close_queue(&bench);
    return 0;
}

static int fill(const char *folder, long queued)
{
    return fill_queue(folder, queued, false);
}

/* Each part has a process of its own, so that memory is that part's alone. */
static int in_child(int (*part)(const char *folder, long queued), const char *folder, long queued)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int result = part(folder, queued);
        fflush(stdout);
        _exit(result);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        die("child");
    return WEXITSTATUS(status);
}

static int accept_figures(const char *folder, long queued)
{
    (void)queued;
    measure_disk(folder);
    measure_accepts(folder, 1);
    measure_accepts(folder, 10);
    measure_accepts(folder, 100);
    return 0;
}

static void remove_folder(const char *folder)
{
    char command[4200];
    snprintf(command, sizeof command, "rm -rf -- '%s'", folder);
    if (system(command) != 0)
        die(folder);
}

int main(int argc, char **argv)
{
    char first[4000], second[4000];
    const char *parent = argc > 1 ? argv[1] : "/var/tmp";
    long queued = argc > 2 ? strtol(argv[2], NULL, 10) : 1000000;
    log_set_level(LOG_LEVEL_ERROR);
    if (argc == 4 && strcmp(argv[1], "--hold") == 0)
        return fill_queue(argv[2], strtol(argv[3], NULL, 10), true);
    snprintf(first, sizeof first, "%s/gatehouse-bench-XXXXXX", parent);
    snprintf(second, sizeof second, "%s/gatehouse-bench-XXXXXX", parent);
    if (queued <= 0 || !mkdtemp(first) || !mkdtemp(second))
        die(parent);
    int result = in_child(accept_figures, first, 0);
    remove_folder(first);
    if (result == 0)
        result = in_child(fill, second, queued);
    if (result == 0) {
        drop_cache(second);
        result = in_child(measure_start, second, queued);
    }
    if (result == 0)
        result = in_child(measure_operations, second, queued);
    if (result == 0) {
        drop_cache(second);
        result = in_child(measure_start, second, queued);
    }
    remove_folder(second);
    return result;
}
