/* Judging the nodes seen at one look. */
#include "tests/unit/cli/printed.h"

#include "cli/cluster_view.h"

/* Three nodes, node 2 leads in term 5, all at entry 100. */
static struct cluster_view *view_make(void)
{
    struct cluster_view *view = calloc(1, sizeof(*view));
    view->n_nodes = 3;
    for (size_t i = 0; i < 3; i++) {
        struct cluster_node *node = &view->nodes[i];
        snprintf(node->endpoint.host, sizeof(node->endpoint.host), "n%zu",
                 i + 1);
        node->endpoint.port = 7000;
        node->reachable = true;
        char text[400];
        int n = snprintf(text, sizeof(text),
                         "node_id:%zu\nraft_role:%s\nraft_leader_id:2\n"
                         "raft_term:5\nraft_commit_index:100\n"
                         "raft_applied_index:100\nstate_hash:aa\nkeys:1\n"
                         "log_size_bytes:2048\nsnapshot_index:50\n",
                         i + 1, i == 1 ? "leader" : "follower");
        info_parse(&node->info, text, (size_t)n);
    }
    cluster_view_find_leader(view);
    return view;
}

static void check_sick(struct cluster_view *view, size_t n_nodes,
                       const char *words)
{
    struct err_info why = {0, ""};
    cluster_view_find_leader(view);
    assert_false(cluster_view_healthy(view, n_nodes, 100, &why));
    assert_non_null(strstr(why.message, words));
    free(view);
}

static void test_cluster_view_all_agreeing_is_healthy(void **state)
{
    (void)state;
    struct cluster_view *view = view_make();
    struct err_info why = {0, ""};
    assert_int_equal(view->leader, 1);
    assert_true(cluster_view_healthy(view, 3, 100, &why));
    assert_true(cluster_view_healthy(view, 0, 100, &why));
    assert_int_equal(cluster_view_hash(view, &why), CLUSTER_HASH_SAME);
    free(view);
}

static void test_cluster_view_what_is_missing_is_named(void **state)
{
    (void)state;
    struct cluster_view *view = view_make();
    view->nodes[2].reachable = false;
    strcpy(view->nodes[2].error.message, "cannot connect to n3:7000");
    check_sick(view, 3, "n3:7000");

    check_sick(view_make(), 4, "3 nodes answer, 4 are wanted");

    view = view_make();
    view->nodes[1].info.role = INFO_ROLE_FOLLOWER;
    check_sick(view, 3, "no leader");

    view = view_make();
    view->nodes[0].info.leader_id = 3;
    check_sick(view, 3, "n1:7000 follows leader 3");

    view = view_make();
    view->nodes[0].info.applied_index = 99;
    check_sick(view, 3, "n1:7000 has applied 99 of 100");

    view = calloc(1, sizeof(*view));
    check_sick(view, 0, "0 nodes answer");
}

static void test_cluster_view_two_leaders_highest_term_counts(void **state)
{
    (void)state;
    struct cluster_view *view = view_make();
    view->nodes[0].info.role = INFO_ROLE_LEADER;
    view->nodes[0].info.leader_id = 1;
    view->nodes[0].info.term = 4;
    cluster_view_find_leader(view);
    assert_int_equal(view->leader, 1);
    check_sick(view, 3, "n1:7000 follows leader 1 of term 4");
}

static void test_cluster_view_lag_is_behind_the_leaders_commit(void **state)
{
    (void)state;
    struct cluster_view *view = view_make();
    view->nodes[0].info.applied_index = 90;
    view->nodes[2].info.applied_index = 101; /* asked later */
    assert_int_equal(cluster_view_lag(view, &view->nodes[0]), 10);
    assert_int_equal(cluster_view_lag(view, &view->nodes[2]), 0);
    assert_int_equal(cluster_view_commit(view), 100);
    view->leader = -1;
    view->nodes[2].info.commit_index = 120;
    assert_int_equal(cluster_view_lag(view, &view->nodes[0]), 30);
    free(view);
}

static void test_cluster_view_hash_compares_equal_entries_only(void **state)
{
    (void)state;
    struct err_info why = {0, ""};
    struct cluster_view *view = view_make();
    strcpy(view->nodes[2].info.state_hash, "bb");
    assert_int_equal(cluster_view_hash(view, &why), CLUSTER_HASH_DIFFERS);
    assert_non_null(strstr(why.message, "bb"));
    view->nodes[2].info.applied_index = 101;
    assert_int_equal(cluster_view_hash(view, &why), CLUSTER_HASH_WAIT);
    view->nodes[2].info.state_hash[0] = '\0';
    assert_int_equal(cluster_view_hash(view, &why), CLUSTER_HASH_WAIT);
    free(view);
}

static void test_cluster_view_table_has_a_row_for_each_node(void **state)
{
    (void)state;
    struct cluster_view *view = view_make();
    struct printed p;
    memset(&view->nodes[2].info, 0, sizeof(view->nodes[2].info));
    view->nodes[2].reachable = false;
    printed_open(&p);
    cluster_view_print_table(view, true, p.out);
    printed_expect(
        &p,
        "ID  ADDRESS  ROLE         TERM  COMMIT  APPLIED  LOG SIZE  SNAPSHOT"
        "  KEYS  LAG  STATE HASH\n"
        " 1  n1:7000  follower        5     100      100   2.0 KiB        50"
        "     1    0  aa\n"
        " 2  n2:7000  leader          5     100      100   2.0 KiB        50"
        "     1    0  aa\n"
        " -  n3:7000  unreachable     -       -        -         -         -"
        "     -    -  -\n");
    free(view);
}

static void test_cluster_view_json_has_what_the_nodes_tell(void **state)
{
    (void)state;
    struct cluster_view *view = view_make();
    struct printed p;
    view->n_nodes = 2;
    view->nodes[0].reachable = false;
    strcpy(view->nodes[0].error.message, "refused");
    printed_open(&p);
    cluster_view_print_json(view, p.out);
    printed_expect(
        &p,
        "{\"leader_id\":2,\"nodes\":[{\"address\":\"n1:7000\","
        "\"reachable\":false,\"error\":\"refused\"},{\"address\":\"n2:7000\","
        "\"reachable\":true,\"role\":\"leader\",\"node_id\":2,"
        "\"raft_leader_id\":2,\"raft_term\":5,\"raft_commit_index\":100,"
        "\"raft_applied_index\":100,\"log_size_bytes\":2048,"
        "\"snapshot_index\":50,\"keys\":1,\"state_hash\":\"aa\",\"lag\":0}]}"
        "\n");
    free(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cluster_view_all_agreeing_is_healthy),
        cmocka_unit_test(test_cluster_view_what_is_missing_is_named),
        cmocka_unit_test(test_cluster_view_two_leaders_highest_term_counts),
        cmocka_unit_test(test_cluster_view_lag_is_behind_the_leaders_commit),
        cmocka_unit_test(test_cluster_view_hash_compares_equal_entries_only),
        cmocka_unit_test(test_cluster_view_table_has_a_row_for_each_node),
        cmocka_unit_test(test_cluster_view_json_has_what_the_nodes_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
