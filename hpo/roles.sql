-- Roles for a database that a team shares. Run as its owner, behind `hpo storage init`; once more
-- does no harm:
--
--     psql "$HPO_STORAGE" -v worker=hpo_worker -v reader=hpo_reader -f roles.sql
--
-- A worker submits studies, takes tickets and writes trials; it drops, alters and deletes nothing, but
-- for lines of the list of workers. A reader sees all (`hpo status`, a dashboard). Give each a password
-- of its own: \password hpo_worker

SELECT format('CREATE ROLE %I LOGIN', name)
FROM (VALUES (:'worker'), (:'reader')) AS wanted (name)
WHERE name NOT IN (SELECT rolname FROM pg_roles)
\gexec

GRANT USAGE ON SCHEMA public TO :"worker", :"reader";
GRANT SELECT ON ALL TABLES IN SCHEMA public TO :"worker", :"reader";

GRANT INSERT, UPDATE ON
    studies, study_directions, study_user_attributes, study_system_attributes,
    trials, trial_params, trial_values, trial_intermediate_values,
    trial_user_attributes, trial_system_attributes, hpo_tickets
TO :"worker";
GRANT INSERT, UPDATE, DELETE ON hpo_workers TO :"worker";
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO :"worker";
