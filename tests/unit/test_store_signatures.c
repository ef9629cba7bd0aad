/* Custom signatures in the database. */
#include "test_store_scene.h"

#include "common/config_model.h"

static void put(struct scene *scene, const char *name, const char *text)
{
    struct store_signature_file file = {.signatures = 3, .text = (char *)text};
    snprintf(file.name, sizeof(file.name), "%s", name);
    ok(store_signature_put(scene->store, &file, "admin", &error));
}

static int64_t id_of(struct scene *scene, const char *name)
{
    struct store_signature_file *files;
    size_t count;
    int64_t id = 0;
    ok(store_signature_list(scene->store, false, &files, &count, &error));
    for (size_t i = 0; i < count; i++)
        if (strcmp(files[i].name, name) == 0)
            id = files[i].id;
    store_signature_list_free(files, count);
    return id;
}

static size_t count_files(struct scene *scene, bool for_scanners)
{
    struct store_signature_file *files;
    size_t count;
    ok(store_signature_list(scene->store, for_scanners, &files, &count, &error));
    store_signature_list_free(files, count);
    return count;
}

static void a_file_is_listed_with_who_and_when(void **state)
{
    struct scene *scene = *state;
    struct store_signature_file *files;
    size_t count;
    int64_t version = version_of(scene);
    put(scene, "b.ndb", "B:0:*:61");
    put(scene, "a.yar", "rule \xc3\xa4");
    assert_int_equal(version_of(scene), version + 2);
    ok(store_signature_list(scene->store, false, &files, &count, &error));
    assert_int_equal(count, 2);
    assert_string_equal(files[0].name, "a.yar");
    assert_int_equal(files[0].size, 7); /* bytes */
    assert_int_equal(files[0].signatures, 3);
    assert_true(files[0].is_enabled);
    assert_string_equal(files[0].changed_by, "admin");
    assert_true(files[0].changed_at > timestamp_now_ms() - 60000);
    assert_string_equal(files[0].text, "");
    store_signature_list_free(files, count);
    cleanup_free char *text = store_signature_text(scene->store, id_of(scene, "b.ndb"), NULL);
    assert_string_equal(text, "B:0:*:61");
}

static void the_same_name_replaces(void **state)
{
    struct scene *scene = *state;
    put(scene, "a.ndb", "A:0:*:61");
    put(scene, "a.ndb", "A:0:*:62");
    assert_int_equal(count_files(scene, false), 1);
    cleanup_free char *text = store_signature_text(scene->store, id_of(scene, "a.ndb"), NULL);
    assert_string_equal(text, "A:0:*:62");
}

static void one_that_is_off_does_not_reach_scanners(void **state)
{
    struct scene *scene = *state;
    put(scene, "a.ndb", "A:0:*:61");
    int64_t id = id_of(scene, "a.ndb"), version = version_of(scene);
    ok(store_signature_enable(scene->store, id, false, "admin", &error));
    assert_int_equal(version_of(scene), version + 1);
    assert_int_equal(count_files(scene, true), 0);
    assert_int_equal(count_files(scene, false), 1);
    ok(store_signature_enable(scene->store, id, true, "admin", &error));
    assert_int_equal(count_files(scene, true), 1);
    ok(store_signature_remove(scene->store, id, "admin", &error));
    assert_int_equal(count_files(scene, false), 0);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log"
                                     " WHERE object = 'a.ndb' AND administrator = 'admin'"),
                     4);
}

static void what_is_unknown_is_not_found(void **state)
{
    struct scene *scene = *state;
    struct store_signature_file file;
    int64_t version = version_of(scene);
    fails(ERROR_NOT_FOUND, store_signature_enable(scene->store, 99, true, "admin", &error));
    fails(ERROR_NOT_FOUND, store_signature_remove(scene->store, -1, "admin", &error));
    fails(ERROR_NOT_FOUND, store_signature_get(scene->store, 99, &file, &error));
    fails(ERROR_NOT_FOUND, store_signature_text(scene->store, 99, &error) != NULL);
    assert_int_equal(version_of(scene), version);
}

static void limits_hold_for_all_together(void **state)
{
    struct scene *scene = *state;
    size_t half = CONFIG_SIGNATURE_BYTES / 2;
    cleanup_free char *large = calloc(1, half + 2);
    memset(large, 'x', half);
    struct store_signature_file file = {.text = large, .name = "c.ndb"};
    put(scene, "a.ndb", large);
    put(scene, "b.ndb", large);
    fails(ERROR_LIMIT, store_signature_put(scene->store, &file, "admin", &error));
    put(scene, "b.ndb", large); /* in its own place there is room */
    large[half] = 'x';
    snprintf(file.name, sizeof(file.name), "b.ndb");
    fails(ERROR_LIMIT, store_signature_put(scene->store, &file, "admin", &error));
    snprintf(file.name, sizeof(file.name), "../b.ndb");
    fails(ERROR_INVALID, store_signature_put(scene->store, &file, "admin", &error));
    assert_int_equal(count_files(scene, false), 2);
}

static void there_are_so_many_files_at_most(void **state)
{
    struct scene *scene = *state;
    struct store_signature_file file = {.text = "x", .name = "more.ndb"};
    char name[32];
    for (int i = 0; i < CONFIG_SIGNATURE_FILES; i++) {
        snprintf(name, sizeof(name), "f%d.ndb", i);
        put(scene, name, "x");
    }
    fails(ERROR_LIMIT, store_signature_put(scene->store, &file, "admin", &error));
    put(scene, "f7.ndb", "y");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        scene_test(a_file_is_listed_with_who_and_when),
        scene_test(the_same_name_replaces),
        scene_test(one_that_is_off_does_not_reach_scanners),
        scene_test(what_is_unknown_is_not_found),
        scene_test(limits_hold_for_all_together),
        scene_test(there_are_so_many_files_at_most),
    };
    return cmocka_run_group_tests_name("store: signatures", tests, open_group, close_group);
}
