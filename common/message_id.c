#include "common/message_id.h"

#include "common/timestamp.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define RANDOM_PER_ID 10
/* At most 256 bytes are never handed out short by getrandom(2). */
#define RANDOM_BLOCK (25 * RANDOM_PER_ID)

struct random_block {
    uint8_t bytes[RANDOM_BLOCK];
    size_t left;
};

/* One system call for each identifier would cost more than all the rest. */
static _Thread_local struct random_block block;

/* A child of fork(2) must not hand out the random bytes that its parent is going to. */
static void forget_block(void)
{
    block.left = 0;
}

__attribute__((constructor)) static void watch_forks(void)
{
    if (pthread_atfork(NULL, NULL, forget_block) != 0)
        abort();
}

static void take_random(uint8_t *to)
{
    if (block.left == 0) {
        while (getrandom(block.bytes, sizeof(block.bytes), 0) != (ssize_t)sizeof(block.bytes))
            if (errno != EINTR)
                abort(); /* identifiers that repeat would lose mail */
        block.left = sizeof(block.bytes);
    }
    block.left -= RANDOM_PER_ID;
    memcpy(to, block.bytes + block.left, RANDOM_PER_ID);
}

struct message_id message_id_new(void)
{
    struct message_id id;
    uint64_t now = (uint64_t)timestamp_now_ms();
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(now >> (40 - 8 * i));
    take_random(id.bytes + 6);
    id.bytes[6] = (uint8_t)(0x70 | (id.bytes[6] & 0x0f));
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    return id;
}

static bool hyphen_before(int byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

const char *message_id_text(const struct message_id *id, char *text)
{
    static const char digits[] = "0123456789abcdef";
    char *to = text;
    for (int i = 0; i < 16; i++) {
        if (hyphen_before(i))
            *to++ = '-';
        *to++ = digits[id->bytes[i] >> 4];
        *to++ = digits[id->bytes[i] & 15];
    }
    *to = '\0';
    return text;
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

bool message_id_parse(const char *text, struct message_id *id)
{
    struct message_id parsed;
    for (int i = 0; i < 16; i++) {
        if (hyphen_before(i) && *text++ != '-')
            return false;
        int high = digit_value(text[0]);
        int low = high < 0 ? -1 : digit_value(text[1]);
        if (low < 0)
            return false;
        parsed.bytes[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    if (*text != '\0')
        return false;
    *id = parsed;
    return true;
}

int64_t message_id_time_ms(const struct message_id *id)
{
    uint64_t time = 0;
    for (int i = 0; i < 6; i++)
        time = time << 8 | id->bytes[i];
    return (int64_t)time;
}

bool message_id_equal(const struct message_id *a, const struct message_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
