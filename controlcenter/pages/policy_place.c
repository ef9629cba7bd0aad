/* Where in the policy document something is wrong, as people call it. */
#include "controlcenter/pages/policy_place.h"

#include "controlcenter/pages/policy_objects.h"

#include <stdlib.h>
#include <string.h>

#define STEP_SIZE 64
#define STEPS_MOST 6

/* One step of a place: "filters[3]", or "name" with the index -1. */
struct step {
    char name[STEP_SIZE];
    long index;
};

static size_t read_steps(const char *place, struct step steps[STEPS_MOST])
{
    static const char root[] = "policies.";
    size_t count = 0;
    if (strncmp(place, root, sizeof root - 1) == 0)
        place += sizeof root - 1;
    while (*place && count < STEPS_MOST) {
        size_t length = strcspn(place, ".["), end = strcspn(place, ".");
        struct step *step = &steps[count++];
        snprintf(step->name, STEP_SIZE, "%.*s", (int)(length < STEP_SIZE ? length : STEP_SIZE - 1),
                 place);
        step->index = place[length] == '[' ? strtol(place + length + 1, NULL, 10) : -1;
        place += place[end] ? end + 1 : end;
    }
    return count;
}

/* Steps that messages.txt has a word for; of the others the name of the member is shown. */
static bool has_word(const char *name)
{
    static const char *const words[] = {"conditions", "actions", "values", "members", "words"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], name) == 0)
            return true;
    for (size_t i = 0; policy_sections[i]; i++)
        if (strcmp(policy_sections[i], name) == 0)
            return true;
    return false;
}

static void put_step(struct page *page, json_t *steps, const struct step *step)
{
    json_t *row = page_add_object(page, steps);
    page_put_true(page, page_put_object(page, row, "is"), step->name);
    page_put_text(page, row, "name", step->name);
    page_put(page, row, "plain", json_boolean(!has_word(step->name)));
    page_put(page, row, "called", json_string(""));
    if (step->index >= 0)
        page_put_number(page, row, "number", step->index + 1);
}

void policy_place_words(struct page *page, const json_t *document, const struct error *error,
                        struct buffer *text)
{
    struct step steps[STEPS_MOST];
    size_t count = read_steps(error->where, steps);
    json_t *arguments = json_object();
    page_put_text(page, arguments, "reason", error->message);
    json_t *rows = page_put_array(page, arguments, "steps");
    for (size_t i = 0; i < count; i++)
        put_step(page, rows, &steps[i]);
    if (count > 0 && steps[0].index >= 0) {
        const json_t *object =
            json_array_get(json_object_get(document, steps[0].name), (size_t)steps[0].index);
        page_put_text(page, json_array_get(rows, 0), "called", json_text_of(object, "name"));
    }
    page_message(page, "policy_place", arguments, text);
}
