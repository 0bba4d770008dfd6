"""Every normative statement of MQTT 3.1.1 (appendix B of the OASIS standard), in our own words, with the tests that prove it, or the reason why it
does not apply to a server.

A test is named by its file and function; a file without a folder is one of this folder. `test_statements.py` proves that the table is complete.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Whom(StrEnum):
    """To whom a statement applies."""

    SERVER = "server"
    CLIENT = "client"
    BOTH = "both"


class Statement(NamedTuple):
    """One statement. `why_not` says why no test of a server proves it; it is empty if tests do."""

    id: str
    says: str
    whom: Whom
    tests: tuple[str, ...] = ()
    why_not: str = ""


SERVER, CLIENT, BOTH = Whom.SERVER, Whom.CLIENT, Whom.BOTH

HIGHEST: Final = {
    "1.5.3": 3,
    "2.2.2": 2,
    "2.3.1": 7,
    "3.1.0": 2,
    "3.1.2": 24,
    "3.1.3": 11,
    "3.1.4": 5,
    "3.2.0": 1,
    "3.2.2": 6,
    "3.3.1": 12,
    "3.3.2": 3,
    "3.3.4": 1,
    "3.3.5": 2,
    "3.6.1": 1,
    "3.8.1": 1,
    "3.8.3": 4,
    "3.8.4": 6,
    "3.9.3": 2,
    "3.10.1": 1,
    "3.10.3": 2,
    "3.10.4": 6,
    "3.12.4": 1,
    "3.14.1": 1,
    "3.14.4": 3,
    "4.1.0": 2,
    "4.3.1": 1,
    "4.3.2": 2,
    "4.3.3": 2,
    "4.4.0": 1,
    "4.5.0": 2,
    "4.6.0": 6,
    "4.7.1": 3,
    "4.7.2": 1,
    "4.7.3": 4,
    "4.8.0": 2,
    "6.0.0": 4,
    "7.0.0": 2,
    "7.1.1": 1,
    "7.1.2": 1,
}
"""The highest number of each section, counted in the standard and not in the table below."""

TOTAL: Final = 141
"""How many statements appendix B has."""

STATEMENTS: Final = (
    # --- 1 and 2: text, flags, packet ids
    Statement(
        "1.5.3-1",
        "Text is well-formed UTF-8 without surrogates; a receiver of other text closes the connection.",
        BOTH,
        (
            "test_text.py::test_ill_formed_text_closes_the_connection",
            "test_text.py::test_ill_formed_text_in_a_connect_closes_the_connection_without_an_answer",
            "test_text.py::test_characters_of_every_length_arrive_as_they_were_sent",
        ),
    ),
    Statement(
        "1.5.3-2",
        "Text has no NUL; a receiver of a NUL closes the connection.",
        BOTH,
        ("test_text.py::test_a_nul_closes_the_connection", "test_text.py::test_a_nul_in_a_connect_closes_the_connection"),
    ),
    Statement(
        "1.5.3-3",
        "A byte order mark is an ordinary character in any position, and is neither dropped nor skipped.",
        BOTH,
        ("test_text.py::test_a_byte_order_mark_is_a_character_like_any_other",),
    ),
    Statement(
        "2.2.2-1",
        "Reserved flags of the first byte have the values that the table of flags gives them.",
        BOTH,
        (
            "test_fixed_header.py::test_what_the_server_sends_has_the_flags_that_it_must_have",
            "test_codec.py::test_our_encoders_make_exactly_these_bytes",
            "test_codec.py::test_the_clients_of_the_tests_make_exactly_these_bytes",
        ),
    ),
    Statement(
        "2.2.2-2",
        "A receiver of other flags closes the connection.",
        BOTH,
        (
            "test_fixed_header.py::test_reserved_flags_that_are_not_as_they_must_be_close_the_connection",
            "test_fixed_header.py::test_reserved_flags_of_connect_close_the_connection",
        ),
    ),
    Statement(
        "2.3.1-1",
        "SUBSCRIBE, UNSUBSCRIBE and a PUBLISH above QoS 0 have a packet id that is not 0.",
        BOTH,
        ("test_fixed_header.py::test_a_packet_id_of_zero_closes_the_connection",),
    ),
    Statement("2.3.1-2", "A client gives each new packet of these types an id that it is not using.", CLIENT, why_not="it applies to the sending client"),
    Statement(
        "2.3.1-3",
        "A packet that is sent again keeps its id, which is free once its acknowledgement has arrived.",
        BOTH,
        (
            "test_sessions.py::test_what_was_not_acknowledged_is_sent_again_with_its_id_and_dup",
            "test_sessions.py::test_ids_that_are_in_flight_are_not_given_again_after_a_reconnect",
        ),
    ),
    Statement(
        "2.3.1-4",
        "The same holds for messages that a server publishes above QoS 0.",
        SERVER,
        (
            "test_fixed_header.py::test_the_server_numbers_its_publishes_with_ids_that_are_free",
            "test_sessions.py::test_what_was_not_acknowledged_is_sent_again_with_its_id_and_dup",
        ),
    ),
    Statement("2.3.1-5", "A PUBLISH at QoS 0 has no packet id.", BOTH, ("test_fixed_header.py::test_a_qos_0_publish_has_no_packet_id",)),
    Statement(
        "2.3.1-6",
        "PUBACK, PUBREC and PUBREL have the id of the PUBLISH that they belong to.",
        BOTH,
        ("test_fixed_header.py::test_every_answer_has_the_packet_id_of_what_it_answers",),
    ),
    Statement(
        "2.3.1-7",
        "SUBACK and UNSUBACK have the id of the packet that they answer.",
        SERVER,
        ("test_fixed_header.py::test_every_answer_has_the_packet_id_of_what_it_answers",),
    ),
    # --- 3.1: CONNECT
    Statement(
        "3.1.0-1",
        "The first packet of a client is CONNECT.",
        BOTH,
        ("test_connect.py::test_a_connection_that_does_not_begin_with_connect_is_closed",),
    ),
    Statement(
        "3.1.0-2",
        "A second CONNECT breaks the protocol, and the client is disconnected.",
        SERVER,
        ("test_connect.py::test_a_second_connect_closes_the_connection",),
    ),
    Statement(
        "3.1.2-1",
        "A CONNECT with another protocol name is not processed by these rules.",
        SERVER,
        ("test_connect.py::test_another_protocol_is_not_let_in",),
    ),
    Statement(
        "3.1.2-2",
        "A level that the server does not support is answered with CONNACK 1, and the connection is closed.",
        SERVER,
        (
            "test_connect.py::test_a_level_that_is_not_spoken_is_refused_with_code_1_and_closed",
            "test_connect.py::test_other_versions_of_mqtt_are_refused_with_code_1",
        ),
    ),
    Statement(
        "3.1.2-3",
        "The server checks the reserved connect flag, and disconnects a client that sets it.",
        SERVER,
        ("test_connect.py::test_an_impossible_connect_is_closed_without_an_answer",),
    ),
    Statement(
        "3.1.2-4",
        "Without CleanSession the session of the client id continues, or a new one begins; it is kept when the connection ends.",
        BOTH,
        (
            "test_sessions.py::test_a_session_keeps_its_subscriptions_and_what_comes_meanwhile_in_order",
            "test_sessions.py::test_what_comes_meanwhile_is_kept_whether_the_client_left_politely_or_not",
            "test_sessions.py::test_a_client_that_breaks_the_protocol_keeps_its_session",
            "test_sessions.py::test_a_session_that_is_taken_over_goes_on_at_once",
        ),
    ),
    Statement(
        "3.1.2-5",
        "Messages above QoS 0 that match a kept session's subscriptions are stored for it while its client is offline.",
        SERVER,
        (
            "test_sessions.py::test_a_session_keeps_its_subscriptions_and_what_comes_meanwhile_in_order",
            "test_sessions.py::test_a_retained_message_that_comes_meanwhile_is_delivered_as_live",
        ),
    ),
    Statement(
        "3.1.2-6",
        "With CleanSession an earlier session is discarded; the new one ends with its connection, and its state is never used again.",
        BOTH,
        (
            "test_sessions.py::test_a_clean_session_begins_with_nothing_and_leaves_nothing",
            "test_sessions.py::test_a_clean_session_does_not_give_back_what_was_in_flight",
            "test_sessions.py::test_after_a_clean_session_the_same_id_gets_a_session_that_lasts",
            "test_sessions.py::test_a_qos_2_publish_of_a_clean_session_is_forgotten_with_it",
        ),
    ),
    Statement(
        "3.1.2-7",
        "Retained messages are not part of a session and stay when it ends.",
        SERVER,
        ("test_retained.py::test_a_retained_message_outlives_the_client_that_sent_it_and_its_session",),
    ),
    Statement(
        "3.1.2-8",
        "An accepted will is stored with its connection, and published when the connection ends in any way but DISCONNECT, a crash of the server included.",
        SERVER,
        (
            "test_wills.py::test_the_will_of_a_client_that_is_cut_off_is_published_at_its_qos",
            "test_wills.py::test_the_will_of_a_connection_that_is_taken_over_is_published",
            "test_wills.py::test_the_will_of_a_client_that_breaks_the_protocol_is_published",
            "test_wills.py::test_the_will_of_a_client_that_ends_its_side_without_disconnect_is_published",
            "test_connect.py::test_a_client_that_is_silent_for_one_and_a_half_times_its_keep_alive_is_closed_and_its_will_published",
            "scenarios/test_wills_after_a_crash.py::test_wills_are_published_at_the_next_start_with_their_qos_and_their_retain_flag",
            "unit/test_will_laws.py::test_a_client_is_let_in_once_its_will_is_stored",
        ),
    ),
    Statement(
        "3.1.2-9",
        "With the will flag, will topic and message are in the payload, and will QoS and retain are used.",
        BOTH,
        (
            "test_connect.py::test_an_impossible_connect_is_closed_without_an_answer",
            "test_wills.py::test_the_will_of_a_client_that_is_cut_off_is_published_at_its_qos",
            "test_wills.py::test_a_will_may_be_empty",
        ),
    ),
    Statement(
        "3.1.2-10",
        "A will is removed when it is published or when DISCONNECT arrives.",
        SERVER,
        (
            "test_wills.py::test_a_will_is_published_once",
            "test_wills.py::test_a_client_that_says_disconnect_leaves_no_will",
            "unit/test_will_laws.py::test_whatever_happens_a_will_is_published_once_or_not_at_all",
        ),
    ),
    Statement(
        "3.1.2-11",
        "Without the will flag, will QoS and retain are 0, and there is no will in the payload.",
        BOTH,
        ("test_connect.py::test_an_impossible_connect_is_closed_without_an_answer",),
    ),
    Statement("3.1.2-12", "Without the will flag no will is published.", SERVER, ("test_wills.py::test_a_client_without_a_will_leaves_none",)),
    Statement(
        "3.1.2-13",
        "Without the will flag, will QoS is 0.",
        BOTH,
        ("test_connect.py::test_an_impossible_connect_is_closed_without_an_answer",),
    ),
    Statement(
        "3.1.2-14",
        "Will QoS is 0, 1 or 2, never 3.",
        BOTH,
        (
            "test_connect.py::test_an_impossible_connect_is_closed_without_an_answer",
            "test_wills.py::test_the_will_of_a_client_that_is_cut_off_is_published_at_its_qos",
        ),
    ),
    Statement(
        "3.1.2-15",
        "Without the will flag, will retain is 0.",
        BOTH,
        ("test_connect.py::test_an_impossible_connect_is_closed_without_an_answer",),
    ),
    Statement(
        "3.1.2-16",
        "Without will retain, a will is published as a message that is not retained.",
        SERVER,
        ("test_wills.py::test_a_will_that_is_not_retained_leaves_what_is_retained_alone",),
    ),
    Statement("3.1.2-17", "With will retain, a will is published as a retained message.", SERVER, ("test_wills.py::test_a_retained_will_is_retained",)),
    *(
        Statement(id_, says, BOTH, ("test_connect.py::test_an_impossible_connect_is_closed_without_an_answer",))
        for id_, says in (
            ("3.1.2-18", "Without the username flag there is no username."),
            ("3.1.2-19", "With the username flag there is a username."),
            ("3.1.2-20", "Without the password flag there is no password."),
            ("3.1.2-21", "With the password flag there is a password."),
            ("3.1.2-22", "Without the username flag there is no password flag."),
        )
    ),
    Statement("3.1.2-23", "A client that has nothing else to send within its keep-alive sends PINGREQ.", CLIENT, why_not="it applies to the client's timer"),
    Statement(
        "3.1.2-24",
        "A client that is silent for one and a half times its keep-alive is disconnected as if the network had failed.",
        SERVER,
        (
            "test_connect.py::test_a_client_that_is_silent_for_one_and_a_half_times_its_keep_alive_is_closed_and_its_will_published",
            "test_connect.py::test_b2_bytes_of_a_packet_that_does_not_end_are_no_sign_of_life",
        ),
    ),
    Statement(
        "3.1.3-1",
        "The fields of CONNECT come in the order client id, will topic, will message, username, password.",
        BOTH,
        ("test_connect.py::test_fields_are_read_in_their_order", "test_codec.py::test_the_front_door_understands_every_good_packet"),
    ),
    Statement("3.1.3-2", "State is found by the client id.", BOTH, ("test_connect.py::test_state_is_kept_by_client_id",)),
    Statement(
        "3.1.3-3",
        "The client id is present, and comes first in the payload.",
        BOTH,
        ("test_connect.py::test_an_impossible_connect_is_closed_without_an_answer",),
    ),
    Statement(
        "3.1.3-4",
        "The client id is UTF-8 text.",
        BOTH,
        ("test_text.py::test_ill_formed_text_in_a_connect_closes_the_connection_without_an_answer",),
    ),
    Statement(
        "3.1.3-5",
        "Client ids of 1 to 23 bytes of ASCII letters and digits are accepted.",
        SERVER,
        ("test_connect.py::test_client_ids_of_1_to_23_letters_and_digits_are_taken",),
    ),
    Statement(
        "3.1.3-6",
        "A server that accepts an empty client id gives the client a unique one, and continues as if the client had sent it.",
        SERVER,
        ("test_connect.py::test_clients_without_an_id_get_one_each",),
    ),
    Statement("3.1.3-7", "A client without a client id asks for a clean session.", CLIENT, why_not="it applies to the client; 3.1.3-8 says what a server does"),
    Statement(
        "3.1.3-8",
        "An empty client id without CleanSession is answered with CONNACK 2, and the connection is closed.",
        SERVER,
        ("test_connect.py::test_an_empty_client_id_without_a_clean_session_is_refused_with_code_2_and_closed",),
    ),
    Statement(
        "3.1.3-9",
        "A client id that the server does not accept is answered with CONNACK 2, and the connection is closed.",
        SERVER,
        ("test_connect.py::test_a_client_id_that_is_too_long_for_us_is_refused_with_code_2_and_closed",),
    ),
    Statement(
        "3.1.3-10",
        "The will topic is UTF-8 text.",
        BOTH,
        ("test_text.py::test_ill_formed_text_in_a_connect_closes_the_connection_without_an_answer",),
    ),
    Statement(
        "3.1.3-11",
        "The username is UTF-8 text.",
        BOTH,
        ("test_text.py::test_ill_formed_text_in_a_connect_closes_the_connection_without_an_answer",),
    ),
    Statement(
        "3.1.4-1",
        "If a CONNECT does not conform to section 3.1, the connection is closed without CONNACK.",
        SERVER,
        ("test_connect.py::test_an_impossible_connect_is_closed_without_an_answer",),
    ),
    Statement(
        "3.1.4-2",
        "A connected client is disconnected when another one connects with its id.",
        SERVER,
        (
            "test_connect.py::test_a_second_connection_of_a_client_closes_the_first",
            "test_connect.py::test_a_connection_that_was_taken_over_says_nothing_more",
        ),
    ),
    Statement(
        "3.1.4-3",
        "After a valid CONNECT, the server handles the session as CleanSession requires.",
        SERVER,
        ("test_connect.py::test_session_present_is_0_if_the_session_is_clean_or_new_and_1_if_it_was_kept",),
    ),
    Statement("3.1.4-4", "A good CONNECT is answered with CONNACK 0.", SERVER, ("test_connect.py::test_the_answer_to_connect_is_connack_and_comes_first",)),
    Statement(
        "3.1.4-5",
        "If a client was refused, the server processes no data after its CONNECT.",
        SERVER,
        ("test_connect.py::test_what_a_refused_client_sends_after_its_connect_is_not_processed",),
    ),
    # --- 3.2: CONNACK
    Statement("3.2.0-1", "The first packet of a server is CONNACK.", SERVER, ("test_connect.py::test_the_answer_to_connect_is_connack_and_comes_first",)),
    Statement(
        "3.2.2-1",
        "With CleanSession, session present is 0.",
        SERVER,
        ("test_connect.py::test_session_present_is_0_if_the_session_is_clean_or_new_and_1_if_it_was_kept",),
    ),
    Statement(
        "3.2.2-2",
        "Without CleanSession, session present is 1 if the server has the session.",
        SERVER,
        ("test_connect.py::test_session_present_is_0_if_the_session_is_clean_or_new_and_1_if_it_was_kept",),
    ),
    Statement(
        "3.2.2-3",
        "If the server has no session, session present is 0.",
        SERVER,
        ("test_connect.py::test_session_present_is_0_if_the_session_is_clean_or_new_and_1_if_it_was_kept",),
    ),
    Statement("3.2.2-4", "With a refusal, session present is 0.", SERVER, ("test_connect.py::test_a_refusal_says_that_no_session_is_present_and_closes",)),
    Statement("3.2.2-5", "After a refusal the connection is closed.", SERVER, ("test_connect.py::test_a_refusal_says_that_no_session_is_present_and_closes",)),
    Statement(
        "3.2.2-6",
        "If no return code applies, the connection is closed without CONNACK.",
        SERVER,
        ("test_connect.py::test_an_impossible_connect_is_closed_without_an_answer",),
    ),
    # --- 3.3: PUBLISH
    Statement(
        "3.3.1-1",
        "A PUBLISH that is sent again has DUP set.",
        BOTH,
        ("test_sessions.py::test_what_was_not_acknowledged_is_sent_again_with_its_id_and_dup",),
    ),
    Statement(
        "3.3.1-2",
        "A PUBLISH at QoS 0 has DUP clear.",
        BOTH,
        ("test_publish.py::test_a_message_goes_out_first_without_dup", "test_publish.py::test_a_qos_0_publish_with_dup_closes_the_connection"),
    ),
    Statement(
        "3.3.1-3",
        "DUP of an outgoing message says whether that message is sent again; it is not copied from the incoming one.",
        SERVER,
        ("test_publish.py::test_dup_is_not_passed_on",),
    ),
    Statement(
        "3.3.1-4", "QoS 3 does not exist; whoever receives it closes the connection.", BOTH, ("test_publish.py::test_a_publish_at_qos_3_closes_the_connection",)
    ),
    Statement(
        "3.3.1-5",
        "A message with RETAIN is stored with its QoS for later subscribers.",
        SERVER,
        ("test_retained.py::test_a_retained_message_is_kept_with_its_qos_for_a_later_subscriber",),
    ),
    Statement(
        "3.3.1-6",
        "A new subscription is sent the last retained message of each topic that it matches.",
        SERVER,
        (
            "test_retained.py::test_each_topic_that_a_new_filter_matches_sends_its_last_message",
            "test_retained.py::test_a_client_that_has_not_subscribed_is_sent_nothing",
            "test_retained.py::test_what_is_retained_does_not_come_to_another_filter",
            "test_retained.py::test_coming_back_to_a_session_sends_nothing_retained_again",
            "test_retained.py::test_what_is_retained_does_not_come_after_what_has_replaced_it",
        ),
    ),
    Statement(
        "3.3.1-7",
        "A retained message at QoS 0 replaces the earlier retained message.",
        SERVER,
        ("test_retained.py::test_the_last_one_replaces_what_was_retained_before",),
    ),
    Statement(
        "3.3.1-8",
        "RETAIN is set on messages that are sent because of a new subscription.",
        SERVER,
        ("test_retained.py::test_retain_is_clear_on_what_comes_live_and_set_on_what_was_there_before",),
    ),
    Statement(
        "3.3.1-9",
        "RETAIN is clear on messages that are sent to an existing subscription.",
        SERVER,
        (
            "test_retained.py::test_retain_is_clear_on_what_comes_live_and_set_on_what_was_there_before",
            "test_sessions.py::test_a_retained_message_that_comes_meanwhile_is_delivered_as_live",
        ),
    ),
    Statement(
        "3.3.1-10",
        "An empty message with RETAIN is delivered like any other, and removes the retained message of its topic.",
        SERVER,
        ("test_retained.py::test_an_empty_retained_message_is_delivered_and_clears_its_topic",),
    ),
    Statement(
        "3.3.1-11",
        "An empty message is not stored as a retained one.",
        SERVER,
        ("test_retained.py::test_an_empty_retained_message_is_not_kept_if_nothing_was",),
    ),
    Statement(
        "3.3.1-12",
        "A message without RETAIN is not stored, and does not change the retained message.",
        SERVER,
        (
            "test_retained.py::test_a_message_without_retain_neither_replaces_nor_clears_what_is_retained",
            "test_retained.py::test_a_message_without_retain_is_not_kept",
        ),
    ),
    Statement(
        "3.3.2-1",
        "The topic name comes first, and is UTF-8 text.",
        BOTH,
        (
            "test_text.py::test_ill_formed_text_closes_the_connection",
            "test_publish.py::test_a_publish_that_ends_too_early_closes_the_connection",
            "test_codec.py::test_our_encoders_make_exactly_these_bytes",
        ),
    ),
    Statement(
        "3.3.2-2",
        "A topic name has no wildcards.",
        BOTH,
        ("test_topics.py::test_a_topic_name_that_is_empty_or_has_a_wildcard_closes_the_connection",),
    ),
    Statement(
        "3.3.2-3",
        "The messages that a server sends match the filter of the subscription.",
        SERVER,
        ("test_publish.py::test_every_topic_that_is_delivered_matches_the_filter",),
    ),
    Statement(
        "3.3.4-1",
        "A PUBLISH is answered as its QoS requires: not at all, with PUBACK, or with PUBREC.",
        BOTH,
        ("test_publish.py::test_each_qos_is_answered_as_it_must_be", "test_publish.py::test_qos_1_and_qos_2_flows_may_be_interleaved"),
    ),
    Statement(
        "3.3.5-1",
        "If several subscriptions of a client match, the message is delivered at the highest QoS among them.",
        SERVER,
        (
            "test_publish.py::test_overlapping_subscriptions_deliver_at_the_highest_qos_among_them",
            "test_publish.py::test_overlapping_subscriptions_deliver_once",
            "test_unsubscribe.py::test_one_of_two_overlapping_subscriptions_may_go_alone",
        ),
    ),
    Statement(
        "3.3.5-2",
        "A publish that is not allowed is acknowledged like any other, or the connection is closed.",
        SERVER,
        (
            "test_publish.py::test_a_publish_that_is_not_allowed_is_acknowledged_or_closes_the_connection",
            "test_publish.py::test_what_we_do_not_allow_is_acknowledged_and_goes_nowhere",
        ),
    ),
    Statement(
        "3.6.1-1",
        "PUBREL has the flags 0010; any others close the connection.",
        BOTH,
        (
            "test_fixed_header.py::test_reserved_flags_that_are_not_as_they_must_be_close_the_connection",
            "test_publish.py::test_a_qos_2_message_goes_out_in_its_four_packets",
        ),
    ),
    # --- 3.8, 3.9: SUBSCRIBE, SUBACK
    Statement(
        "3.8.1-1",
        "SUBSCRIBE has the flags 0010; any others close the connection.",
        BOTH,
        ("test_fixed_header.py::test_reserved_flags_that_are_not_as_they_must_be_close_the_connection",),
    ),
    Statement("3.8.3-1", "The filters of SUBSCRIBE are UTF-8 text.", BOTH, ("test_text.py::test_ill_formed_text_closes_the_connection",)),
    Statement(
        "3.8.3-2",
        "A server that does not support wildcards refuses filters with them; this one supports them.",
        SERVER,
        ("test_subscribe.py::test_filters_with_wildcards_are_granted_and_work",),
    ),
    Statement(
        "3.8.3-3",
        "SUBSCRIBE has at least one filter with its QoS; one without breaks the protocol.",
        BOTH,
        ("test_subscribe.py::test_a_malformed_subscribe_closes_the_connection",),
    ),
    Statement(
        "3.8.3-4",
        "Reserved bits in the QoS byte of a filter, or QoS 3, close the connection.",
        SERVER,
        ("test_subscribe.py::test_reserved_bits_beside_a_filter_close_the_connection",),
    ),
    Statement("3.8.4-1", "SUBSCRIBE is answered with SUBACK.", SERVER, ("test_subscribe.py::test_each_filter_is_answered_in_its_place",)),
    Statement(
        "3.8.4-2",
        "SUBACK has the packet id of its SUBSCRIBE.",
        SERVER,
        (
            "test_subscribe.py::test_each_filter_is_answered_in_its_place",
            "test_fixed_header.py::test_every_answer_has_the_packet_id_of_what_it_answers",
        ),
    ),
    Statement(
        "3.8.4-3",
        "Subscribing to a filter again replaces the subscription and sends its retained messages again, without a gap in the deliveries.",
        SERVER,
        (
            "test_subscribe.py::test_subscribing_to_the_same_filter_replaces_its_qos",
            "test_subscribe.py::test_replacing_a_subscription_does_not_interrupt_what_is_published",
            "test_retained.py::test_subscribing_again_sends_what_is_retained_again",
        ),
    ),
    Statement(
        "3.8.4-4",
        "Several filters in one SUBSCRIBE work as several packets, with one answer.",
        SERVER,
        (
            "test_subscribe.py::test_several_filters_in_a_packet_work_as_several_packets",
            "test_subscribe.py::test_b3_a_filter_that_comes_three_times_in_a_packet_is_answered_three_times",
            "test_subscribe.py::test_a_filter_that_comes_twice_in_a_packet_is_held_as_the_last_says",
        ),
    ),
    Statement(
        "3.8.4-5",
        "SUBACK has a return code for each filter: the QoS that was granted, or that it was refused.",
        SERVER,
        (
            "test_subscribe.py::test_many_filters_in_one_packet_are_answered_one_by_one",
            "test_subscribe.py::test_a_filter_that_is_not_allowed_is_refused_in_its_place_and_the_others_are_granted",
            "test_subscribe.py::test_shared_subscriptions_are_refused_and_not_taken_for_filters",
        ),
    ),
    Statement(
        "3.8.4-6",
        "A message is delivered at the lower of the QoS that it was published with and the one that was granted.",
        SERVER,
        ("test_subscribe.py::test_a_message_is_delivered_at_the_lower_of_the_two_qos",),
    ),
    Statement(
        "3.9.3-1",
        "The return codes come in the order of the filters.",
        SERVER,
        (
            "test_subscribe.py::test_each_filter_is_answered_in_its_place",
            "test_subscribe.py::test_many_filters_in_one_packet_are_answered_one_by_one",
        ),
    ),
    Statement(
        "3.9.3-2",
        "Return codes are 0, 1, 2 and 0x80, and no others.",
        SERVER,
        ("test_subscribe.py::test_every_return_code_is_one_that_the_standard_has",),
    ),
    # --- 3.10: UNSUBSCRIBE
    Statement(
        "3.10.1-1",
        "UNSUBSCRIBE has the flags 0010; any others close the connection.",
        BOTH,
        ("test_fixed_header.py::test_reserved_flags_that_are_not_as_they_must_be_close_the_connection",),
    ),
    Statement(
        "3.10.3-1",
        "The filters of UNSUBSCRIBE are UTF-8 text, one after the other.",
        BOTH,
        ("test_text.py::test_ill_formed_text_closes_the_connection", "test_unsubscribe.py::test_a_malformed_unsubscribe_closes_the_connection"),
    ),
    Statement(
        "3.10.3-2",
        "UNSUBSCRIBE has at least one filter; one without breaks the protocol.",
        BOTH,
        ("test_unsubscribe.py::test_a_malformed_unsubscribe_closes_the_connection",),
    ),
    Statement(
        "3.10.4-1",
        "A filter is compared character by character; if it equals that of a subscription, the subscription ends, and otherwise nothing happens.",
        SERVER,
        (
            "test_unsubscribe.py::test_filters_are_compared_as_text_and_not_by_what_they_match",
            "test_unsubscribe.py::test_what_was_unsubscribed_stays_so_in_the_session",
        ),
    ),
    Statement("3.10.4-2", "After that no new message is added for the client.", SERVER, ("test_unsubscribe.py::test_after_unsubscribe_nothing_more_comes",)),
    Statement(
        "3.10.4-3",
        "The server completes deliveries above QoS 0 that it has begun.",
        SERVER,
        ("test_unsubscribe.py::test_a_delivery_that_has_begun_is_completed",),
    ),
    Statement(
        "3.10.4-4",
        "UNSUBSCRIBE is answered with UNSUBACK, with its packet id.",
        SERVER,
        (
            "test_unsubscribe.py::test_after_unsubscribe_nothing_more_comes",
            "test_fixed_header.py::test_every_answer_has_the_packet_id_of_what_it_answers",
        ),
    ),
    Statement(
        "3.10.4-5",
        "UNSUBACK is sent even if no subscription ended.",
        SERVER,
        ("test_unsubscribe.py::test_a_filter_that_was_not_subscribed_to_is_answered_too",),
    ),
    Statement(
        "3.10.4-6",
        "Several filters in one UNSUBSCRIBE work as several packets, with one answer.",
        SERVER,
        ("test_unsubscribe.py::test_several_filters_in_a_packet_are_answered_once_and_all_go",),
    ),
    # --- 3.12, 3.14: PINGREQ, DISCONNECT
    Statement("3.12.4-1", "PINGREQ is answered with PINGRESP.", SERVER, ("test_ping_and_disconnect.py::test_pingreq_is_answered_with_pingresp",)),
    Statement(
        "3.14.1-1",
        "The server checks the reserved flags of DISCONNECT, and disconnects a client that sets one.",
        SERVER,
        (
            "test_ping_and_disconnect.py::test_a_disconnect_with_reserved_flags_closes_the_connection_and_the_will_is_published",
            "test_fixed_header.py::test_reserved_flags_that_are_not_as_they_must_be_close_the_connection",
        ),
    ),
    Statement("3.14.4-1", "After DISCONNECT the client closes the connection.", CLIENT, why_not="it applies to the client"),
    Statement("3.14.4-2", "After DISCONNECT the client sends nothing more.", CLIENT, why_not="it applies to the client; a test shows that no more is read"),
    Statement(
        "3.14.4-3",
        "After DISCONNECT the will is discarded and not published.",
        SERVER,
        (
            "test_wills.py::test_a_client_that_says_disconnect_leaves_no_will",
            "test_ping_and_disconnect.py::test_after_disconnect_the_server_closes_and_reads_nothing_more",
        ),
    ),
    # --- 4.1 to 4.6: sessions, flows, order
    Statement(
        "4.1.0-1",
        "Client and server keep the state of a session for as long as it lasts.",
        BOTH,
        (
            "test_sessions.py::test_a_session_lasts_as_long_as_its_connection",
            "test_sessions.py::test_a_session_keeps_its_subscriptions_and_what_comes_meanwhile_in_order",
            "test_amqtt_findings.py::test_what_an_offline_session_is_owed_survives_a_kill",
        ),
    ),
    Statement("4.1.0-2", "A session lasts at least as long as its connection.", BOTH, ("test_sessions.py::test_a_session_lasts_as_long_as_its_connection",)),
    Statement(
        "4.3.1-1", "At QoS 0 the sender sends its PUBLISH with QoS 0 and DUP clear.", BOTH, ("test_publish.py::test_a_message_goes_out_first_without_dup",)
    ),
    Statement(
        "4.3.2-1",
        "At QoS 1 the sender takes a free id, sends with DUP clear, and keeps the message until PUBACK arrives.",
        BOTH,
        (
            "test_publish.py::test_a_message_goes_out_first_without_dup",
            "test_publish.py::test_nothing_is_sent_again_while_the_connection_lasts",
            "test_publish.py::test_an_acknowledgement_of_nothing_is_passed_over",
            "test_sessions.py::test_what_was_not_acknowledged_is_sent_again_with_its_id_and_dup",
        ),
    ),
    Statement(
        "4.3.2-2",
        "At QoS 1 the receiver answers with PUBACK once it owns the message; the same id after that is a new message, whatever DUP says.",
        BOTH,
        (
            "test_publish.py::test_an_id_is_free_again_after_puback_whatever_dup_says",
            "scenarios/test_front_door.py::test_a_publish_is_acknowledged_once_it_is_stored_and_not_before",
        ),
    ),
    Statement(
        "4.3.3-1",
        "At QoS 2 the sender keeps its PUBLISH until PUBREC, then sends PUBREL and keeps that until PUBCOMP; the PUBLISH is not sent again after PUBREL.",
        BOTH,
        (
            "test_publish.py::test_a_qos_2_message_goes_out_in_its_four_packets",
            "test_publish.py::test_pubrec_that_is_repeated_is_answered_with_pubrel_and_not_with_the_message",
            "test_publish.py::test_an_answer_of_another_flow_closes_the_connection_and_the_message_is_still_owed",
            "test_sessions.py::test_after_pubrec_only_pubrel_is_sent_again",
        ),
    ),
    Statement(
        "4.3.3-2",
        "At QoS 2 the receiver answers each repeat with PUBREC and passes the message on once; it answers PUBREL with PUBCOMP, and then the id is new.",
        BOTH,
        (
            "test_publish.py::test_a_qos_2_publish_that_is_repeated_before_pubrel_is_answered_and_delivered_once",
            "test_publish.py::test_a_qos_2_id_is_free_again_after_pubcomp",
            "test_publish.py::test_pubrel_is_answered_as_often_as_it_comes",
            "test_sessions.py::test_a_qos_2_publish_that_was_half_way_goes_on_after_a_reconnect",
        ),
    ),
    Statement(
        "4.4.0-1",
        "When a client reconnects to its session, PUBLISH and PUBREL packets that were not acknowledged are sent again with their ids.",
        BOTH,
        (
            "test_sessions.py::test_what_was_not_acknowledged_is_sent_again_with_its_id_and_dup",
            "test_sessions.py::test_after_pubrec_only_pubrel_is_sent_again",
            "test_sessions.py::test_what_was_in_flight_is_sent_again_in_its_order_and_what_was_acknowledged_is_not",
        ),
    ),
    Statement(
        "4.5.0-1",
        "A message that the server accepted is added to the session of each client that has a matching subscription.",
        SERVER,
        (
            "test_sessions.py::test_a_message_goes_to_every_session_that_is_subscribed_present_or_not",
            "test_publish.py::test_a_publisher_receives_its_own_messages_if_it_is_subscribed",
        ),
    ),
    Statement(
        "4.5.0-2", "A client acknowledges every message that it receives, whatever it does with it.", CLIENT, why_not="it applies to the receiving client"
    ),
    Statement(
        "4.6.0-1",
        "PUBLISH packets that are sent again come in the order in which they were first sent.",
        BOTH,
        (
            "test_sessions.py::test_what_was_in_flight_is_sent_again_in_its_order_and_what_was_acknowledged_is_not",
            "test_sessions.py::test_what_comes_after_a_reconnect_follows_what_is_sent_again",
        ),
    ),
    Statement(
        "4.6.0-2",
        "PUBACK packets come in the order of the PUBLISH packets; 4.6.0-6 requires it of a server too.",
        BOTH,
        ("test_order.py::test_puback_and_pubrec_come_in_the_order_of_the_publishes",),
    ),
    Statement(
        "4.6.0-3",
        "PUBREC packets come in the order of the PUBLISH packets; 4.6.0-6 requires it of a server too.",
        BOTH,
        ("test_order.py::test_puback_and_pubrec_come_in_the_order_of_the_publishes",),
    ),
    Statement(
        "4.6.0-4",
        "PUBREL packets come in the order of the PUBREC packets; 4.6.0-6 requires it of a server too.",
        BOTH,
        ("test_order.py::test_pubrel_comes_in_the_order_of_the_pubrecs",),
    ),
    Statement("4.6.0-5", "By default a topic is ordered.", SERVER, ("test_order.py::test_every_subscriber_hears_the_same_order",)),
    Statement(
        "4.6.0-6",
        "On an ordered topic, messages of one client at one QoS are delivered in the order of their arrival, by the rules above.",
        SERVER,
        (
            "test_order.py::test_messages_of_a_topic_are_delivered_in_the_order_in_which_a_client_sent_them",
            "test_order.py::test_messages_of_two_clients_are_each_in_order",
            "test_order.py::test_acknowledgements_in_another_order_do_no_harm",
        ),
    ),
    # --- 4.7: topic names and filters
    Statement(
        "4.7.1-1",
        "Wildcards are allowed in filters and not in topic names.",
        BOTH,
        (
            "test_topics.py::test_a_topic_name_that_is_empty_or_has_a_wildcard_closes_the_connection",
            "test_wills.py::test_a_will_without_a_proper_topic_name_is_not_taken",
        ),
    ),
    Statement(
        "4.7.1-2",
        "# stands alone or behind a slash, and last.",
        BOTH,
        (
            "test_topics.py::test_a_filter_that_breaks_the_rules_closes_the_connection",
            "test_topics.py::test_a_filter_matches_what_it_says_and_nothing_else",
        ),
    ),
    Statement(
        "4.7.1-3",
        "+ stands in any level, and alone in it.",
        BOTH,
        (
            "test_topics.py::test_a_filter_that_breaks_the_rules_closes_the_connection",
            "test_topics.py::test_a_filter_matches_what_it_says_and_nothing_else",
            "test_topics.py::test_a_filter_with_a_wildcard_in_its_first_level_matches",
        ),
    ),
    Statement(
        "4.7.2-1",
        "A filter that begins with a wildcard does not match a topic that begins with $.",
        SERVER,
        (
            "test_topics.py::test_a_filter_that_begins_with_a_wildcard_does_not_match_a_topic_that_begins_with_a_dollar",
            "test_topics.py::test_a_retained_topic_that_begins_with_a_dollar_does_not_come_to_a_leading_wildcard",
            "unit/test_topics.py::test_filters_match_as_the_examples_of_mqtt_say",
        ),
    ),
    Statement(
        "4.7.3-1",
        "Topic names and filters have at least one character.",
        BOTH,
        (
            "test_topics.py::test_a_topic_name_that_is_empty_or_has_a_wildcard_closes_the_connection",
            "test_topics.py::test_a_filter_that_breaks_the_rules_closes_the_connection",
            "test_topics.py::test_the_first_level_may_be_empty",
        ),
    ),
    Statement("4.7.3-2", "Topic names and filters have no NUL.", BOTH, ("test_text.py::test_a_nul_closes_the_connection",)),
    Statement(
        "4.7.3-3",
        "Topic names and filters have at most 65,535 bytes.",
        BOTH,
        (
            "test_topics.py::test_a_topic_may_have_65535_bytes",
            "test_topics.py::test_a_topic_may_have_many_levels",
            "test_topics.py::test_a_topic_may_have_as_many_levels_as_fit_into_it",
        ),
    ),
    Statement(
        "4.7.3-4",
        "Topics are matched unchanged, without normalization or replacement of characters.",
        SERVER,
        ("test_topics.py::test_names_and_filters_are_not_normalized",),
    ),
    # --- 4.8: errors
    Statement(
        "4.8.0-1",
        "A client or server that detects a protocol violation closes the connection on which it occurred, unless another statement applies.",
        BOTH,
        (
            "test_errors.py::test_a_packet_that_breaks_the_protocol_closes_its_connection_and_nothing_else",
            "test_codec.py::test_the_front_door_refuses_every_bad_packet_and_says_why",
            "test_codec.py::test_a_good_packet_whose_length_says_one_byte_less_is_refused",
            "test_fixed_header.py::test_a_packet_type_that_is_not_for_a_server_closes_the_connection",
            "test_publish.py::test_one_malformed_publish_does_not_take_what_came_before_it",
            "test_publish.py::test_an_answer_of_another_flow_closes_the_connection_and_the_message_is_still_owed",
            "test_ping_and_disconnect.py::test_a_packet_without_a_body_that_has_one_closes_the_connection",
        ),
    ),
    Statement(
        "4.8.0-2",
        "A client or server that has a transient error while it processes a packet closes the connection on which the packet arrived.",
        BOTH,
        (
            "test_errors.py::test_a_connect_that_cannot_be_served_now_is_refused_with_code_3_and_closed",
            "test_errors.py::test_a_packet_over_our_limit_closes_the_connection_before_it_has_come_whole",
        ),
    ),
    # --- 6: WebSocket
    Statement(
        "6.0.0-1",
        "Packets are sent in binary frames; any other data frame closes the connection.",
        BOTH,
        (
            "test_websocket.py::test_a_text_frame_closes_the_connection",
            "test_websocket.py::test_a_text_frame_instead_of_connect_closes_the_connection",
            "test_websocket.py::test_the_server_sends_binary_frames_alone",
        ),
    ),
    Statement(
        "6.0.0-2",
        "A frame may contain several packets or parts of them; packets need not begin or end with a frame.",
        BOTH,
        ("test_websocket.py::test_packets_need_not_begin_or_end_with_a_frame",),
    ),
    Statement("6.0.0-3", "A client offers the subprotocol mqtt.", CLIENT, why_not="it applies to the client"),
    Statement(
        "6.0.0-4",
        "The subprotocol that the server chooses is mqtt.",
        SERVER,
        ("test_websocket.py::test_the_server_answers_with_the_subprotocol_mqtt", "test_websocket.py::test_mqtt_is_chosen_among_several_subprotocols"),
    ),
    # --- 7: conformance
    Statement(
        "7.0.0-1",
        "A server that connects to other servers conforms as a client too.",
        SERVER,
        why_not="this server does not connect to other servers",
    ),
    Statement(
        "7.0.0-2",
        "A conforming client needs no extensions of ours.",
        BOTH,
        (
            "scenarios/test_foreign_clients.py::test_a_pack_made_by_hand_is_seen_as_receipt_and_as_retained_status",
            "scenarios/test_foreign_clients.py::test_a_message_arrives_as_it_was_sent",
            "scenarios/test_foreign_clients.py::test_it_is_the_same_over_tls_and_websocket",
        ),
    ),
    Statement(
        "7.1.1-1",
        "A server is reached over a transport that is ordered and lossless in both directions.",
        SERVER,
        (
            "test_fixed_header.py::test_packets_may_come_byte_by_byte_or_many_at_once",
            "test_websocket.py::test_what_is_published_over_a_websocket_comes_over_tcp_and_the_reverse",
        ),
    ),
    Statement("7.1.2-1", "A client uses a transport that is ordered and lossless in both directions.", CLIENT, why_not="it applies to the client"),
)

UNNUMBERED: Final = (
    # Statements of the standard without a number. The id is that of the section.
    Statement(
        "2.2.3",
        "The remaining length has one to four bytes of seven bits each, the lowest first.",
        BOTH,
        (
            "test_codec.py::test_a_remaining_length_is_written_and_read_the_same",
            "test_codec.py::test_a_remaining_length_with_idle_digits_is_read",
            "test_codec.py::test_a_remaining_length_has_four_digits_at_most",
            "test_fixed_header.py::test_a_remaining_length_of_more_than_four_bytes_closes_the_connection",
            "test_fixed_header.py::test_packets_at_the_borders_of_the_remaining_length_arrive_whole",
        ),
    ),
    Statement(
        "3.1.4",
        "A client may send packets at once after CONNECT, without waiting for CONNACK.",
        BOTH,
        (
            "test_connect.py::test_the_answer_to_connect_is_connack_and_comes_first",
            "test_connect.py::test_b1_what_a_client_sends_behind_its_connect_counts_even_if_it_has_hung_up_since",
        ),
    ),
    Statement("3.1.2.10", "A keep-alive of 0 asks for no timer.", BOTH, ("test_connect.py::test_a_keep_alive_of_zero_is_taken_and_asks_for_no_timer",)),
    Statement("3.2.2.3", "The return codes of CONNACK are 0 to 5.", SERVER, ("test_codec.py::test_every_return_code_has_its_number",)),
    Statement(
        "3.3.3", "A payload is bytes of any kind and number, none included.", BOTH, ("test_publish.py::test_a_payload_is_bytes_and_arrives_as_it_was_sent",)
    ),
    Statement(
        "4.2",
        "A connection is a stream of bytes, and ends anywhere.",
        BOTH,
        (
            "test_codec.py::test_a_packet_that_comes_byte_by_byte_is_understood_the_same",
            "test_errors.py::test_a_connection_that_ends_in_the_middle_of_a_packet_is_forgotten",
        ),
    ),
    Statement(
        "4.7.2",
        "What a server says of itself is not among what # brings.",
        SERVER,
        ("test_retained.py::test_nothing_is_retained_that_nobody_published",),
    ),
    Statement(
        "6", "What breaks the protocol over a WebSocket closes it.", SERVER, ("test_websocket.py::test_a_packet_that_breaks_the_protocol_closes_the_websocket",)
    ),
    Statement(
        "2.2.1",
        "The packet types, each in the directions that it has; the table of wire cases has them all.",
        BOTH,
        (
            "test_codec.py::test_no_two_cases_have_one_name",
            "test_codec.py::test_every_packet_type_is_in_the_table_in_every_direction_that_it_has",
            "test_codec.py::test_the_clients_of_the_tests_read_what_we_send",
        ),
    ),
)
