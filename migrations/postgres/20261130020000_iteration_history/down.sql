DROP TABLE iteration_history;
