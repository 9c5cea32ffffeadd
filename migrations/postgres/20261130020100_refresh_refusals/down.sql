DROP TABLE refresh_refusal;
