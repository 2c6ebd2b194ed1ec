"""The four dashboards: shoppers, models, pipeline, business. One question each; at most a screen and a half.

Called by   build.py, render.py
"""

from deploy.grafana.panels import INTERVAL, Dashboard, Panel, Query, one, quantiles

ALL = (0.5, 0.95, 0.99)
ANSWERED = 'service="gateway",route="/recommend",outcome="ok"'
ASKED = 'service="gateway",route!~"/metrics|/livez|/readyz"'
DEGRADED = 'degraded_reason!~"none|cold_start"'
GROUP = "{{scenario}} {{model}} {{arm}}"

SHOPPERS = Dashboard(
    "shoppers",
    "Aisle: shoppers",
    "Do shoppers get lists of their own, in time?",
    (
        one(
            "Bad answers, 1 h (0.1 % allowed)",
            "aisle:availability:bad_ratio_rate1h",
            "failed or late",
            kind="stat",
            unit="percentunit",
        ),
        one(
            "Degraded lists, 1 h (1 % allowed)",
            "aisle:personalised:bad_ratio_rate1h",
            "degraded",
            kind="stat",
            unit="percentunit",
        ),
        one(
            "Over 250 ms, 1 h (1 % allowed)", "aisle:latency:bad_ratio_rate1h", "slow", kind="stat", unit="percentunit"
        ),
        one(
            "Alerts that page", 'count(ALERTS{severity="page",alertstate="firing"}) or vector(0)', "firing", kind="stat"
        ),
        one(
            "Requests by status",
            f"sum by (route, status) (rate(aisle_http_requests_total{{{ASKED}}}[{INTERVAL}]))",
            "{{route}} {{status}}",
            unit="reqps",
        ),
        quantiles("POST /recommend takes", "aisle_http_request_seconds", ALL, where=ANSWERED, limit=0.25),
        quantiles("A list by where it came from, p99", "aisle_recommend_seconds", (0.99,), by="served_from"),
        quantiles("Stages of a list, p95", "aisle_recommend_stage_seconds", (0.95,), by="stage"),
        one(
            "Lists by where they came from",
            f"sum by (served_from) (rate(aisle_recommend_total[{INTERVAL}]))",
            "{{served_from}}",
            unit="reqps",
            stacked=True,
        ),
        one(
            "Degraded lists by reason",
            f"sum by (degraded_reason) (rate(aisle_recommend_total{{{DEGRADED}}}[{INTERVAL}]))",
            "{{degraded_reason}}",
            unit="reqps",
            stacked=True,
        ),
        one(
            "Reads of the list cache",
            f"sum by (result) (rate(aisle_cache_reads_total[{INTERVAL}]))",
            "{{result}}",
            unit="reqps",
            stacked=True,
        ),
        one("Breakers: 0 closed, 1 probing, 2 open", "aisle_breaker_state", "{{service}} → {{dependency}}"),
        one("Requests in flight", "sum by (service) (aisle_http_requests_in_flight)", "{{service}}"),
        one(
            "Calls to other services that failed",
            f'sum by (dependency, outcome) (rate(aisle_dependency_calls_total{{outcome!="ok"}}[{INTERVAL}]))',
            "{{dependency}} {{outcome}}",
            unit="reqps",
        ),
    ),
)

MODELS = Dashboard(
    "models",
    "Aisle: models",
    "Which model serves, how old and how good is it, and does the shop drift away from it?",
    (
        one("Serving version", "aisle_model_version_info == 1", "{{version}}", kind="stat"),
        one("Age of its training data", "max(aisle_model_age_seconds)", "age", kind="stat", unit="s"),
        one(
            "Items it was not trained on",
            "max(aisle_model_unknown_items) / max(aisle_catalogue_items)",
            "of the catalogue",
            kind="stat",
            unit="percentunit",
        ),
        one(
            "Refused loads, 1 h",
            "sum(increase(aisle_model_load_failures_total[1h])) or vector(0)",
            "refused",
            kind="stat",
        ),
        one("NDCG@10 on its test period", 'aisle_model_quality{metric="NDCG@10"}', "{{source}}"),
        one("Age of the training data", "max by (instance) (aisle_model_age_seconds)", "{{instance}}", unit="s"),
        quantiles("Stages of ranking, p95", "aisle_ranking_stage_seconds", (0.95,), by="stage"),
        one(
            "Candidates by source, mean",
            f"sum by (source) (rate(aisle_ranking_candidates_sum[{INTERVAL}]))"
            f" / sum by (source) (rate(aisle_ranking_candidates_count[{INTERVAL}]))",
            "{{source}}",
        ),
        one(
            "Candidates removed by rule",
            f"sum by (rule) (rate(aisle_ranking_removed_total[{INTERVAL}]))",
            "{{rule}}",
            unit="cps",
        ),
        one(
            "Shoppers nothing is known of",
            f"sum(rate(aisle_ranking_cold_starts_total[{INTERVAL}]))"
            f' / sum(rate(aisle_ranking_stage_seconds_count{{stage="fuse"}}[{INTERVAL}]))',
            "share of requests",
            unit="percentunit",
        ),
        Panel(
            "Ranking under load",
            (
                Query("sum(aisle_ranking_queued)", "queued"),
                Query(f"sum(rate(aisle_ranking_refused_total[{INTERVAL}]))", "refused/s"),
                Query(f"sum(rate(aisle_ranking_widened_total[{INTERVAL}]))", "widened/s"),
            ),
        ),
        one("Training runs by state", "aisle_training_runs", "{{state}}", stacked=True),
    ),
)

PIPELINE = Dashboard(
    "pipeline",
    "Aisle: pipeline",
    "Does everything that shoppers do arrive, once and soon, and do the jobs run?",
    (
        one(
            "Slower than 5 s, 1 h (1 % allowed)",
            "aisle:freshness:bad_ratio_rate1h",
            "late events",
            kind="stat",
            unit="percentunit",
        ),
        one(
            "Events lost, 1 h",
            'sum(increase(aisle_ingest_dead_letters_total{stream="events"}[1h]))',
            "dead letters",
            kind="stat",
        ),
        one(
            "States that differ from Postgres, 1 h",
            'sum(increase(aisle_feature_parity_checks_total{result="different"}[1h]))',
            "different",
            kind="stat",
        ),
        one(
            "Since the last good training run",
            "time() - max(aisle_training_last_success_timestamp_seconds > 0)",
            "ago",
            kind="stat",
            unit="s",
        ),
        one(
            "Events at the gateway",
            f"sum by (result) (rate(aisle_events_total[{INTERVAL}]))",
            "{{result}}",
            unit="eps",
            stacked=True,
        ),
        Panel(
            "Rows in Postgres",
            (
                Query(f"sum by (stream) (rate(aisle_ingest_inserted_total[{INTERVAL}]))", "{{stream}} new"),
                Query(f"sum by (stream) (rate(aisle_ingest_duplicates_total[{INTERVAL}]))", "{{stream}} known"),
            ),
            unit="eps",
        ),
        quantiles("From acceptance to effect", "aisle_ingest_effect_seconds", ALL, where='stream="events"', limit=5),
        Panel(
            "Entries that wait",
            (
                Query("sum by (stream) (aisle_ingest_lag_entries)", "{{stream}} unread"),
                Query("sum by (stream) (aisle_ingest_pending_entries)", "{{stream}} in hand"),
            ),
        ),
        Panel(
            "What went wrong",
            (
                Query(
                    f"sum by (stream) (rate(aisle_ingest_failed_tries_total[{INTERVAL}]))", "{{stream}} failed tries"
                ),
                Query(f"sum by (stream) (rate(aisle_ingest_claimed_total[{INTERVAL}]))", "{{stream}} taken over"),
                Query(f"sum by (stream) (rate(aisle_ingest_store_down_total[{INTERVAL}]))", "{{stream}} store away"),
                Query(f"sum by (kind) (rate(aisle_after_answer_dropped_total[{INTERVAL}]))", "{{kind}} dropped"),
            ),
            unit="cps",
        ),
        one(
            "States by where they came from",
            f"sum by (origin) (rate(aisle_states_read_total[{INTERVAL}]))",
            "{{origin}}",
            unit="reqps",
            stacked=True,
        ),
        one(
            "Parity checks in ten minutes",
            "sum by (result) (increase(aisle_feature_parity_checks_total[10m]))",
            "{{result}}",
        ),
        one("The newest training run", "max(aisle_training_run_progress)", "done", unit="percentunit"),
        one("CPU", f'sum by (job) (rate(process_cpu_seconds_total{{job=~"aisle-.+"}}[{INTERVAL}]))', "{{job}} cores"),
        one("Memory", 'sum by (job) (process_resident_memory_bytes{job=~"aisle-.+"})', "{{job}}", unit="bytes"),
    ),
)

BUSINESS = Dashboard(
    "business",
    "Aisle: business",
    "What do the lists bring, by scenario, model and arm?",
    (
        one(
            "Click rate, last hour",
            "sum(rate(aisle_clicks_total[1h])) / sum(rate(aisle_items_shown_total[1h]))",
            "of items shown",
            kind="stat",
            unit="percentunit",
        ),
        one(
            "Purchases a click, last hour",
            "sum(rate(aisle_purchases_total[1h])) / sum(rate(aisle_clicks_total[1h]))",
            "of clicks",
            kind="stat",
            unit="percentunit",
        ),
        one(
            "Revenue of lists, last hour",
            "sum(increase(aisle_revenue_total[1h]))",
            "in the shop's currency",
            kind="stat",
        ),
        one("Lists shown, last hour", "sum(increase(aisle_lists_shown_total[1h]))", "lists", kind="stat"),
        one("Click rate (CTR)", "aisle:ctr:ratio_rate1h", GROUP, unit="percentunit"),
        one("Purchases a click (CVR)", "aisle:cvr:ratio_rate1h", GROUP, unit="percentunit"),
        one("Revenue an hour", "3600 * aisle:revenue:rate1h", GROUP),
        one(
            "Lists shown",
            f"sum by (scenario, model, arm) (rate(aisle_lists_shown_total[{INTERVAL}]))",
            GROUP,
            unit="reqps",
        ),
        one("Clicks", f"sum by (scenario) (rate(aisle_clicks_total[{INTERVAL}]))", "{{scenario}}", unit="cps"),
        one("Purchases", f"sum by (scenario) (rate(aisle_purchases_total[{INTERVAL}]))", "{{scenario}}", unit="cps"),
        one("Share of the catalogue in lists, last day", "aisle_lists_coverage_ratio", GROUP, unit="percentunit"),
        one("Variety of lists, last day (1: all categories differ)", "aisle_lists_diversity_ratio", GROUP),
        one("Novelty of items shown, last day", "aisle_lists_novelty_bits", GROUP, unit="bits"),
    ),
)

DASHBOARDS = (SHOPPERS, MODELS, PIPELINE, BUSINESS)
