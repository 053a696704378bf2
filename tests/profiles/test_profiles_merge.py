"""What wins: what is given over the profile, the profile over the defaults, in dict and text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gatehound import Settings, SettingsError
from gatehound.profiles import FIGURES, OF_ROLES, PROFILES, filled, merged, names_in

KEYS: dict[str, Any] = {
    "secret_keys": ["vJ3xq0Zb-7eKfWm2RtYuPs9LdAhGcN1o"],
    "identity_key": "Q8nTz5_yXkV4bMwHj6CrEaDi0FpUgS2l",
    "store": "memory://",
}
KEYS_TEXT = {
    "GATEHOUND_SECRET_KEYS": KEYS["secret_keys"][0],
    "GATEHOUND_IDENTITY_KEY": KEYS["identity_key"],
    "GATEHOUND_STORE": "memory://",
}
FIXED = hypothesis_settings(deadline=None, derandomize=True, max_examples=60)


def read(**data: Any) -> Settings:
    return Settings.from_dict({**KEYS, **data})


def problem(**data: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        read(**data)
    (line,) = caught.value.problems
    return line


def test_what_is_given_wins_and_the_rest_is_of_the_profile() -> None:
    settings = read(profile="nist-aal3", session={"idle_timeout": "10m", "max_per_user": None})
    session = settings.session
    assert (session.idle_timeout, session.absolute_timeout) == (600, 12 * 3600)
    assert session.max_per_user is None
    assert session.fresh_for == 600  # the default: this profile says nothing of it
    assert settings.profile == ("nist-aal3",)


def test_a_later_profile_wins() -> None:
    assert read(profile=["shop", "admin"]).session.max_per_user == 2
    assert read(profile="admin, shop").session.max_per_user == 10
    # What the later one leaves out the earlier one has said.
    assert read(profile=("shop", "nist-aal2")).session.max_per_user == 10
    assert read(profile=("shop", "nist-aal2")).session.remember_timeout == 86400


def test_a_role_is_filled_in_and_its_own_values_win() -> None:
    settings = read(
        profile="consumer",
        roles={"admin": {"profile": "nist-aal3", "max_per_user": 1}, "guest": {}},
    )
    admin = settings.limits(("admin",), remembered=False)
    assert (admin.idle, admin.absolute, admin.max_per_user) == (900, 12 * 3600, 1)
    assert settings.limits(("admin",), remembered=True).absolute == 12 * 3600
    assert settings.limits(("guest",), remembered=False).idle == 86400
    assert settings.roles["admin"].profile == ("nist-aal3",)


def test_of_several_profiles_of_a_role_a_later_one_wins() -> None:
    settings = read(roles={"admin": {"profile": ["owasp-high", "admin"]}})
    admin = settings.limits(("admin",), remembered=False)
    assert (admin.idle, admin.max_per_user, admin.fresh_for) == (900, 2, 300)


def test_a_value_that_a_role_gives_up_is_that_of_everyone() -> None:
    settings = read(roles={"admin": {"profile": "admin", "idle_timeout": None}})
    assert settings.limits(("admin",), remembered=False).idle == 3600


def test_activity_is_noted_as_often_as_the_profile_of_a_role_needs() -> None:
    assert read(roles={"a": {"profile": "owasp-high"}}).session.touch_interval == 30
    assert read(profile="owasp-high", roles={"a": {"profile": "shop"}}).session.touch_interval == 30
    assert read(roles={"a": {"profile": "shop"}}).session.touch_interval == 60
    given = read(session={"touch_interval": 20}, roles={"a": {"profile": "owasp-high"}})
    assert given.session.touch_interval == 20


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"profile": "shopp"}, "profile: 'shopp' given; allowed are small-business, shop, agency,"),
        ({"profile": ["shop", "x"]}, "profile: 'x' given; allowed are small-business"),
        ({"profile": 3}, "profile: 3 given; allowed is a list of texts"),
        ({"profile": None}, "profile: None given; allowed is a list of texts"),
        ({"profile": {"shop": 1}}, "profile: {'shop': 1} given; allowed is a list of texts"),
        ({"profile": ["shop", 3]}, "profile: ['shop', 3] given; allowed is a list of texts"),
        ({"profile": "shop", "session": 5}, "session: 5 given; allowed is a group of settings"),
        ({"profile": "shop", "roles": 5}, "roles: 5 given"),
        ({"roles": {"a": {"profile": "x"}}}, "roles.a.profile: 'x' given; allowed are small-bu"),
        ({"profile": "shop", "roles": {"a": 1}}, "roles.a: 1 given; allowed is a group"),
        (
            {"roles": {"a": {"profile": "owasp-high", "idle_timeout": "1h"}}, "session": 5},
            "session: 5 given; allowed is a group of settings",
        ),
    ],
)
def test_what_cannot_be_read_is_named(data: dict[str, Any], said: str) -> None:
    assert problem(**data).startswith(said)


@pytest.mark.parametrize(
    ("data", "key", "origin"),
    [
        (
            {"profile": "nist-aal3", "session": {"absolute_timeout": "10m"}},
            "session.idle_timeout: ",
            "session.idle_timeout comes from the profile nist-aal3",
        ),
        (
            {"profile": "owasp-low,nist-aal3", "session": {"idle_timeout": "13h"}},
            "session.idle_timeout: ",
            "session.absolute_timeout comes from the profile nist-aal3",
        ),
        (
            {"session": {"touch_interval": 60}, "roles": {"a.b": {"profile": "owasp-high"}}},
            "roles.a.b.idle_timeout: ",
            "roles.a.b.idle_timeout comes from the profile owasp-high",
        ),
        (
            {"profile": "agency", "policy": {"sensitive_discount": 4}},
            "policy.sensitive_discount: ",
            "",
        ),
    ],
)
def test_a_problem_says_what_nobody_wrote(data: dict[str, Any], key: str, origin: str) -> None:
    line = problem(**data)
    assert line.startswith(key)
    assert line.partition(" comes from")[0].endswith(origin.partition(" comes from")[0])
    assert line.endswith(origin)
    assert line.count("comes from the profile") == bool(origin)


def test_touching_is_told_of_too() -> None:
    data = {"roles": {"a": {"profile": "owasp-high", "idle_timeout": "4m"}}}
    line = problem(**data)
    assert line.endswith("; session.touch_interval comes from the profile owasp-high")


def test_settings_of_this_library_are_taken_as_a_whole() -> None:
    from gatehound.settings import SessionSettings

    assert read(profile="shop", session=SessionSettings()).session == SessionSettings()


def test_the_environment_names_profiles_too() -> None:
    settings = Settings.from_env(
        {
            **KEYS_TEXT,
            "GATEHOUND_PROFILE": "shop, behind-cdn",
            "GATEHOUND_SESSION__MAX_PER_USER": "3",
            "GATEHOUND_ROLES__ADMIN__PROFILE": "nist-aal3",
            "GATEHOUND_ROLES__ADMIN__IDLE_TIMEOUT": "10m",
        }
    )
    roles = {"admin": {"profile": "nist-aal3", "idle_timeout": 600}}
    assert settings == read(
        profile=["shop", "behind-cdn"], session={"max_per_user": 3}, roles=roles
    )
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(
            {**KEYS_TEXT, "GATEHOUND_PROFILE": "x", "GATEHOUND_ROLES__A__PROFILE": "y"}
        )
    found = caught.value.problems
    assert len(found) == 2
    assert found[0].startswith("GATEHOUND_PROFILE: 'x' given; allowed are small-business")
    assert found[1].startswith("GATEHOUND_ROLES__A__PROFILE: 'y' given")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("shop", ("shop",)),
        (" shop ,, admin\nx", ("shop", "admin", "x")),
        (["shop", 3, " "], ("shop",)),
        (("a",), ("a",)),
        (None, ()),
        ({"a": 1}, ()),
        (3, ()),
    ],
)
def test_names_are_read_as_far_as_they_can_be(given: object, names: tuple[str, ...]) -> None:
    assert names_in(given) == names


# --- properties ---

VALUES = st.fixed_dictionaries(
    {},
    optional={
        "idle_timeout": st.integers(600, 7200),
        "absolute_timeout": st.integers(3600, 86400 * 7),
        "remember_timeout": st.integers(3600, 86400 * 7),
        "max_per_user": st.integers(1, 20),
        "fresh_for": st.integers(60, 3600),
        "on_limit": st.sampled_from(["oldest", "deny"]),
        "touch_interval": st.integers(1, 60),
    },
)
NAMES = st.lists(st.sampled_from(sorted(PROFILES)), max_size=3)
ROLES = st.dictionaries(
    st.sampled_from(["admin", "editor"]),
    st.tuples(NAMES, VALUES).map(
        lambda pair: {**{k: v for k, v in pair[1].items() if k in OF_ROLES}, "profile": pair[0]}
    ),
    max_size=2,
)
TREES = st.dictionaries(
    st.sampled_from("abc"),
    st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9), max_size=3),
    max_size=3,
)


@pytest.mark.slow
@FIXED
@given(TREES, TREES, TREES)
def test_laying_trees_over_each_other_in_any_grouping_is_the_same(
    low: dict[str, Any], middle: dict[str, Any], high: dict[str, Any]
) -> None:
    assert merged(merged(low, middle), high) == merged(low, merged(middle, high))
    assert merged({}, high) == merged(high, {}) == merged(high, high) == high


@pytest.mark.slow
@FIXED
@given(NAMES, VALUES, ROLES)
def test_every_leaf_is_what_was_given_or_of_the_last_profile(
    names: list[str], values: dict[str, Any], roles: dict[str, Any]
) -> None:
    data = {"profile": names, "session": values, "roles": roles}
    tree = filled(data)
    expected = {
        name: figure.value for profile in names for name, figure in FIGURES[profile].items()
    } | {f"session.{key}": value for key, value in values.items()}
    groups = {group: leaves for group, leaves in tree.items() if group not in ("profile", "roles")}
    got = {f"{group}.{key}": one for group, leaves in groups.items() for key, one in leaves.items()}
    touch, noted = (one.pop("session.touch_interval", None) for one in (expected, got))
    assert got == expected
    assert "touch_interval" not in values or noted == touch
    for name, role in roles.items():
        sessions = [PROFILES[one].get("session", {}) for one in role["profile"]]
        for key in OF_ROLES:
            said = [session[key] for session in sessions if key in session]
            assert tree["roles"][name].get(key) == role.get(key, said[-1] if said else None)
    assert filled(tree) == tree


@pytest.mark.slow
@FIXED
@given(NAMES, VALUES, ROLES)
def test_environment_and_dict_agree(
    names: list[str], values: dict[str, Any], roles: dict[str, Any]
) -> None:
    """The oracle is the other way to give the same; whether either is right is not seen."""
    # An empty list cannot be said in the environment, nor a role of which nothing is.
    said = {name: {k: v for k, v in role.items() if v != []} for name, role in roles.items()}
    roles = {name: role for name, role in said.items() if role}
    data = {**KEYS, "profile": names, "session": values, "roles": roles}
    environ = {**KEYS_TEXT, "GATEHOUND_PROFILE": ",".join(names)}
    environ |= {f"GATEHOUND_SESSION__{key.upper()}": str(value) for key, value in values.items()}
    for name, role in roles.items():
        for key, value in role.items():
            text = ",".join(value) if key == "profile" else str(value)
            environ[f"GATEHOUND_ROLES__{name.upper()}__{key.upper()}"] = text
    assert outcome(Settings.from_dict, data) == outcome(Settings.from_env, environ)


def outcome(build: Any, given: Any) -> Any:
    try:
        return build(given)
    except SettingsError as error:
        return len(error.problems)
