DROP TABLE account_proof;
