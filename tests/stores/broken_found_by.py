"""Which checks have to find which planted defect: the class name, and the names of checks."""

from __future__ import annotations

# A broken store, and the checks that have to find its defect.
FOUND_BY: dict[str, tuple[str, ...]] = {
    "NeverMismatches": ("mismatch_names_what_differs",),
    "OverwritesMeta": ("mismatch_names_what_differs",),
    "ForgetsOnClose": (
        "close_is_allowed_at_any_time",
        "other_threads_and_loops_see_the_same",
    ),
    "ForgetsOnPrepare": ("prepare_again_changes_nothing",),
    "TellsSeconds": ("ping_tells_the_time",),
    "TrustsLastSeenOfTheCaller": (
        "create_ignores_last_seen_of_the_caller",
        "create_keeps_any_seen_part",
    ),
    "KeepsAsciiOnly": ("user_ids_of_any_text",),
    "JoinsRolesByComma": (
        "user_ids_of_any_text",
        "create_keeps_everything",
    ),
    "KeepsTheFirstRoles": ("roles_are_those_of_the_latest_login",),
    "CreatesAgain": (
        "create_is_idempotent_on_its_secret",
        "repeated_create_writes_no_second_event",
    ),
    "AdoptsATakenSid": ("create_refuses_a_taken_sid",),
    "WritesEventsOfRefusedLogins": (
        "repeated_create_writes_no_second_event",
        "disabled_users_are_refused",
    ),
    "HasNoLimit": (
        "lower_limit_ends_as_many_as_needed",
        "limit_breaks_ties_by_sid",
    ),
    "LimitsEverybodyToFive": (
        "no_limit",
        "list_is_oldest_first",
    ),
    "CountsAllUsersForTheLimit": ("limit_is_each_users_own",),
    "EndsTheWrongOne": (
        "limit_breaks_ties_by_sid",
        "limit_ends_the_oldest",
    ),
    "NeverDenies": (
        "denied_login_ends_nobody",
        "limit_denies",
    ),
    "DeniesTooLate": (
        "denied_login_ends_nobody",
        "replaces_takes_the_place",
    ),
    "IgnoresReplaces": ("replaces_takes_the_place",),
    "ReplacesAnybodys": ("replaces_somebody_elses_session_does_nothing",),
    "LetsTheDisabledIn": (
        "disable_works_on_an_unknown_user",
        "disabled_users_are_refused",
    ),
    "IgnoresTheEpoch": (
        "disable_moves_the_epoch",
        "first_login_that_races_end_all_is_refused",
        "changed_epoch_is_refused",
    ),
    "DemandsAnEpoch": (
        "disabled_users_are_refused",
        "user_evidence_outlives_sessions",
    ),
    "DropsTheEpochOnSweep": (
        "epoch_outlives_sessions_by_an_hour",
        "epoch_stays_while_a_session_lives",
    ),
    "LosesFirstEvidence": (
        "rotate_keeps_what_belongs_to_the_session",
        "first_evidence_has_a_version",
    ),
    "TellsEveryCallerThatItExpired": (
        "list_notices_expiry_once",
        "revoke_one",
    ),
    "ForgetsWhoseItWas": ("who_notices_expiry_learns_whose_it_was",),
    "ForgetsWhoseItWasOnRotate": ("who_notices_expiry_learns_whose_it_was",),
    "ExpiresOneMillisecondLate": (
        "touch_slides_when_due",
        "last_seen_never_moves_backwards",
    ),
    "NeverExpires": (
        "create_notices_expiry_once",
        "any_secret_notices_expiry",
    ),
    "ConfusesIdleAndAbsolute": (
        "every_reason_is_kept",
        "touch_keeps_a_session_alive",
        "idle_and_absolute_end_at_their_instant",
    ),
    "WritesExpiryTwice": (
        "expiry_writes_one_event",
        "rotate_of_nothing_makes_nothing",
    ),
    "NoticesExpiryWithTheRightSecretOnly": (
        "any_secret_notices_expiry",
        "wrong_secret_is_reused_and_stale",
    ),
    "AnswersWithoutLookingAtTheUser": ("unknown_sessions_are_unknown",),
    "ForgetsThatItSaw": ("was_seen_tells_the_activity_before",),
    "AlwaysTouches": (
        "rotate_replaces_the_secret",
        "wrong_secret_is_reused_and_stale",
    ),
    "NeverTouches": (
        "data_survives_time_and_touch",
        "touch_slides_when_due",
    ),
    "TouchesBackwards": ("last_seen_never_moves_backwards",),
    "TouchesForRefusedSecrets": (
        "wrong_secret_is_reused_and_stale",
        "refused_secrets_do_not_slide",
    ),
    "TouchesForTheCurrentSecretOnly": ("a_graced_secret_slides_the_session",),
    "ListsInAnyOrder": ("list_is_oldest_first",),
    "ListsWithoutNoticing": ("list_notices_expiry_once",),
    "RotatesAnySecret": (
        "rotate_writes_its_event",
        "rotate_of_a_graced_secret_changes_nothing",
    ),
    "RotatesWithGraceAlways": (
        "rotate_with_an_old_secret_changes_nothing",
        "privilege_rotation_kills_the_old_secret",
    ),
    "RotatesWithoutGrace": (
        "rotate_of_a_graced_secret_changes_nothing",
        "routine_rotation_never_confirmed_is_an_orphan",
    ),
    "RotatesTwice": ("rotate_is_idempotent_on_the_new_secret",),
    "RotatesOnlyTheSecret": (
        "rotate_writes_its_event",
        "rotate_changes_what_is_given",
    ),
    "RotatesIntoAnEmptySession": ("rotate_keeps_what_belongs_to_the_session",),
    "ConfirmsNothing": (
        "routine_rotation_graces_until_confirmed",
        "remember_needs_a_valid_secret",
    ),
    "ConfirmsAgainAndAgain": ("routine_rotation_graces_until_confirmed",),
    "RemembersAllSecrets": (
        "secrets_before_the_one_before_are_stale",
        "the_later_kind_of_rotation_counts",
    ),
    "LeavesNoTombstones": (
        "any_secret_notices_expiry",
        "eight_tombstones_of_one_call",
    ),
    "LeavesTombstonesForEver": ("tombstones_live_as_long_as_the_cookie",),
    "RevokesNothing": (
        "epoch_moves_for_all_but_not_for_one",
        "revoke_fills_its_template",
    ),
    "RevokesWithoutTheEpoch": (
        "epoch_moves_for_all_but_not_for_one",
        "first_login_that_races_end_all_is_refused",
    ),
    "RevokesOneWithTheEpoch": (
        "revoke_needs_the_right_user",
        "epoch_moves_for_all_but_not_for_one",
    ),
    "RevokesAllButNone": (
        "epoch_stays_while_a_session_lives",
        "revoke_others_keeps_one",
    ),
    "RevokesWithOneEvent": (
        "revoke_without_template_writes_no_event",
        "revoke_fills_its_template",
        "ended_sessions_stay_ended",
    ),
    "RevokesForOneReason": (
        "revoke_all",
        "every_reason_is_kept",
    ),
    "KeepsOneTombstone": (
        "eight_tombstones_of_one_call",
        "revoke_others_keeps_one",
    ),
    "KeepsAllTombstones": ("tombstones_keep_the_newest_eight",),
    "BringsBackWhatIsSaved": (
        "data_belongs_to_one_session",
        "data_incr",
        "data_goes_with_its_session",
    ),
    "EndsEveryoneButTheFirst": ("revoke_everyone",),
    "EndsEveryoneWhoIsThere": ("revoke_everyone_refuses_logins_that_began_before",),
    "EndsEveryoneOncePerInstant": ("revoke_everyone_refuses_logins_that_began_before",),
    "RemembersOverAnyVersion": (
        "first_evidence_has_a_version",
        "remember_of_another_version_writes_nothing",
    ),
    "RemembersHalf": ("remember_of_another_version_writes_nothing",),
    "RemembersForAnySecret": ("remember_needs_a_valid_secret",),
    "RemembersAnyLastSeen": (
        "remember_keeps_the_greater_last_seen",
        "search_follows_changes",
        "remember_writes_everything_in_one_step",
    ),
    "ReplacesAllFlags": (
        "flags_change_alone",
        "search_follows_changes",
    ),
    "RemembersTooMuch": ("evidence_is_bounded",),
    "SharesEvidence": (
        "remember_grows_the_version_by_one",
        "evidence_belongs_to_one_session_and_one_user",
    ),
    "ForgetsUserEvidenceWithTheSession": ("user_evidence_outlives_sessions",),
    "KeepsLongAgents": (
        "agent_texts",
        "agent_texts_are_clipped_between_characters",
    ),
    "ReplacesAllData": (
        "data_set_leaves_the_others",
        "data_fields_are_bounded",
    ),
    "KeepsDataAsText": (
        "data_goes_in_and_out_unchanged",
        "data_incr_refuses_what_is_no_integer",
    ),
    "SetsDataByHalves": (
        "data_fields_are_bounded",
        "data_names_and_values_are_bounded",
    ),
    "KeepsDataByUser": ("data_belongs_to_one_session",),
    "LosesDataOnTouch": ("data_survives_time_and_touch",),
    "DeletesAnyNumber": (
        "a_dead_session_answers_as_documented",
        "data_delete",
    ),
    "CountsInFloats": ("data_incr_keeps_64_bits",),
    "CountsFromRubbish": ("data_incr_refuses_what_is_no_integer",),
    "DisablesWithoutTheEpoch": ("disable_moves_the_epoch",),
    "DisablesKnownUsersOnly": ("disable_works_on_an_unknown_user",),
    "DisablesTheFutureOnly": (
        "disable_ends_all_sessions",
        "enable_says_what_it_did",
        "export_returns_everything",
    ),
    "EnablesAlways": ("enable_says_what_it_did",),
    "ForgetsTheMark": ("forget_keeps_the_mark_and_the_epoch",),
    "ForgetsByHalves": (
        "a_new_login_after_forget_inherits_nothing",
        "forget_erases_everything",
    ),
    "ExportsWithoutAgents": (
        "export_of_nobody_is_empty",
        "forget_erases_everything",
    ),
    "SweepsWithoutLimit": ("sweep_ends_what_is_over",),
    "SweepsWithoutEvents": ("sweep_ends_what_is_over",),
    "SweepFailsWithNothingToDo": (
        "sweep_of_an_empty_store",
        "counter_windows_are_fixed",
    ),
    "SearchesOneFilterOnly": ("search_filters",),
    "SearchesWholeBytesOfNetworks": ("search_filters",),
    "SearchesTheDead": (
        "search_returns_only_the_living",
        "search_filters",
    ),
    "SearchesBehindTheTimes": (
        "remember_keeps_the_greater_last_seen",
        "agent_texts_are_clipped_between_characters",
    ),
    "PagesByOffset": ("search_pages_while_sessions_come_and_go",),
    "PagesByTimeOnly": (
        "search_pages_newest_first",
        "search_pages_while_sessions_come_and_go",
    ),
    "PagesWithoutTheFilter": (
        "search_pages_with_a_filter",
        "events_page_with_a_filter",
    ),
    "TrustsItsCursors": (
        "search_survives_a_made_up_cursor",
        "events_survive_a_made_up_cursor",
    ),
    "TrustsTheSizeOfItsCursors": (
        "search_survives_a_made_up_cursor",
        "events_survive_a_made_up_cursor",
    ),
    "TellsEventsOldestFirst": (
        "events_keep_everything",
        "event_filters",
    ),
    "PagesEventsByTime": ("events_of_one_instant_page_without_loss",),
    "PagesEventsByOffset": ("events_page_while_others_are_written",),
    "KeepsEventsForEver": ("events_are_kept_for_the_retention",),
    "KeepsEventsForAWeek": ("events_are_kept_for_the_retention",),
    "FlattensDetails": ("events_keep_everything",),
    "TellsItsOwnTime": ("events_carry_the_stores_time",),
    "LosesEventsOfCreate": (
        "create_writes_its_event",
        "repeated_create_writes_no_second_event",
    ),
    "SearchesEventsByNameOnly": (
        "event_filters",
        "events_page_newest_first",
    ),
    "FlagsForEver": (
        "rotate_changes_what_is_given",
        "search_follows_changes",
    ),
    "CountsForEver": (
        "counter_windows_are_fixed",
        "counters_of_several_windows",
    ),
    "CountsByOne": (
        "counters_add_up",
        "counters_of_several_windows",
    ),
    "CountsByTheMinute": ("counters_of_several_windows",),
    "CountsAnyName": ("counter_names_are_bounded",),
    "FlagsEverybody": ("flags_change_alone",),
    "TellsAVersionOfNothing": (
        "nothing_is_remembered_at_first",
        "a_new_login_inherits_nothing",
    ),
    "SweepsTheEpochForward": (
        "a_user_returns_after_long_absence",
        "epoch_outlives_sessions_by_an_hour",
    ),
    "RacesAtTheLimit": (
        "race_logins_at_a_limit",
        "race_logins_denied",
    ),
    "RacesWithItself": ("race_same_login_twice",),
    "RacesWithRevoke": ("race_touch_and_revoke",),
    "RacesWithEndAll": ("race_logins_and_end_all",),
    "RacesWithOtherRevokes": ("race_revoke_others",),
    "RacesWithRotations": ("race_rotations",),
    "RacesToNoticeExpiry": ("race_expiry_is_noticed_once",),
    "TellsOfExpiryInEveryPlace": ("race_of_all_who_notice_expiry",),
    "LosesUpdates": ("race_data_set_of_different_fields",),
    "LosesCounts": (
        "race_data_incr",
        "race_counters",
    ),
    "RemembersTwice": ("race_remember",),
    "MixesAnswersUp": ("race_answers_belong_to_their_question",),
}
