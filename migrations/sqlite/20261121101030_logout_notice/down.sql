DROP TABLE logout_notice;
